-- The wrapped key of what is kept for minutes outside the database (app/vault/passing.py); at most one lasts.
CREATE TABLE passing_keys (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    kek text NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE passing_keys IS 'The key of cache entries: thrown away, and with it they, after each erasure and once a day.';
