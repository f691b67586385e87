-- A file on its way into the library. Its bytes stay until it was read, in the transaction of its job.
CREATE TABLE documents (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    filename text NOT NULL,
    size bigint NOT NULL,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'indexing', 'ready', 'failed')),
    visibility visibility NOT NULL,
    teams text[] NOT NULL DEFAULT '{}',
    problems jsonb NOT NULL DEFAULT '[]',
    articles integer NOT NULL DEFAULT 0,
    content bytea,
    uploaded_by uuid REFERENCES users ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE INDEX documents_indexing ON documents (id) WHERE status = 'indexing';
