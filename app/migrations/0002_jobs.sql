CREATE TYPE job_status AS ENUM ('queued', 'running', 'done', 'dead');

-- Written in the transaction of the change a job follows from; finished in the transaction of its effect.
CREATE TABLE jobs (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    kind text NOT NULL,
    payload jsonb NOT NULL DEFAULT '{}',
    dedupe_key text,
    status job_status NOT NULL DEFAULT 'queued',
    attempts integer NOT NULL DEFAULT 0,
    run_at timestamptz NOT NULL DEFAULT now(),
    lease_token uuid,
    lease_until timestamptz,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CHECK ((status = 'running') = (lease_token IS NOT NULL AND lease_until IS NOT NULL)),
    CHECK ((status IN ('done', 'dead')) = (finished_at IS NOT NULL))
);
-- Only a waiting job stands for its key: what is enqueued while one runs may have come too late for it.
CREATE UNIQUE INDEX jobs_dedupe ON jobs (kind, dedupe_key) WHERE status = 'queued';
CREATE INDEX jobs_due ON jobs (run_at, id) WHERE status = 'queued';
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE status = 'running';
CREATE INDEX jobs_dead ON jobs (finished_at DESC) WHERE status = 'dead';
