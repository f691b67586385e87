-- Which providers answer and by which routes, as it was set at run time: the newest version counts, and without
-- one the profile's own. Nothing is changed or deleted; to roll back is to add an older one again.
CREATE TABLE provider_lineups (
    version integer PRIMARY KEY CHECK (version > 0),
    lineup jsonb NOT NULL,
    note text NOT NULL,
    made_by uuid REFERENCES users ON DELETE SET NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX provider_lineups_made_by ON provider_lineups (made_by);
