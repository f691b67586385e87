-- Which request made a job: its trace and id go on in the job's spans and log lines.
ALTER TABLE jobs ADD COLUMN origin jsonb;

CREATE TYPE webhook_delivery_status AS ENUM ('pending', 'delivered', 'dead');

-- URLs often hold a token of the receiver's: they are sealed like the secrets, under the endpoint's own key.
CREATE TABLE webhook_endpoints (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    url bytea NOT NULL,
    event_types text[] NOT NULL CHECK (cardinality(event_types) BETWEEN 1 AND 100),
    description text NOT NULL DEFAULT '',
    secret bytea NOT NULL,
    former_secret bytea,
    former_secret_until timestamptz,
    since_position bigint NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    off_because text,
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    resting_until timestamptz,
    turn_job uuid,
    turn_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((former_secret IS NULL) = (former_secret_until IS NULL)),
    CHECK ((failures = 0) = (failing_since IS NULL))
);
COMMENT ON COLUMN webhook_endpoints.turn_job IS 'the job that sends to it now: one at a time, however many events come';
COMMENT ON COLUMN webhook_endpoints.since_position IS 'it gets what took a later place in the log of events';

-- One event on its way to one endpoint: what is pending and due is sent. Bodies are made from the event each time.
CREATE TABLE webhook_deliveries (
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    event_id uuid NOT NULL,
    event_at timestamptz NOT NULL,
    event_type text NOT NULL,
    status webhook_delivery_status NOT NULL DEFAULT 'pending',
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    PRIMARY KEY (endpoint_id, event_id),
    CHECK ((status = 'pending') = (ended_at IS NULL))
);
COMMENT ON COLUMN webhook_deliveries.event_at IS 'finds the event''s partition';
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, due_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (endpoint_id, event_at DESC, event_id DESC);
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (ended_at) WHERE status <> 'pending';

CREATE TABLE webhook_attempts (
    endpoint_id uuid NOT NULL,
    event_id uuid NOT NULL,
    at timestamptz NOT NULL,
    duration_ms integer NOT NULL,
    status_code integer,
    error text,
    response bytea NOT NULL,
    PRIMARY KEY (endpoint_id, event_id, at),
    FOREIGN KEY (endpoint_id, event_id) REFERENCES webhook_deliveries ON DELETE CASCADE
);

INSERT INTO schedules (kind, every) VALUES ('sweep_webhooks', interval '1 minute');

-- Of endpoints what people decide; how they fare is in their deliveries.
SELECT audit_table('webhook_endpoints', plain => '{event_types,description,off_because}',
                   left_out => '{updated_at,failures,failing_since,resting_until,turn_job,turn_until}');
SELECT audit_table('jobs', plain => '{kind,status}', operations => 'UPDATE',
                   left_out => '{payload,dedupe_key,last_error,lease_token,lease_until,run_at,created_at,origin}',
                   condition => $$OLD.status = 'dead'$$);
