-- A team is a name and the people in it, agents and customers alike; it is there as long as it has somebody.
CREATE TABLE team_members (
    team text NOT NULL CHECK (team ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team, user_id)
);
CREATE INDEX team_members_user ON team_members (user_id, team);

-- Whoever has one of these may read: `models.loading.documents.Document.audiences` says the same.
CREATE FUNCTION audiences_of(visibility visibility, teams text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE visibility
               WHEN 'teams' THEN ARRAY['supervisors'] || ARRAY(SELECT 'team:' || team FROM unnest(teams) AS team)
               ELSE ARRAY[visibility::text]
           END
$$;

ALTER TABLE articles ADD COLUMN teams text[] NOT NULL DEFAULT '{}';
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE articles ADD CONSTRAINT articles_teams CHECK ((visibility = 'teams') = (cardinality(teams) > 0));
ALTER TABLE articles
    -- squawk-ignore adding-field-with-default
    ADD COLUMN audiences text[] NOT NULL GENERATED ALWAYS AS (audiences_of(visibility, teams)) STORED;

-- The articles an answer was written from: who may not read them any more may not read it either.
ALTER TABLE messages ADD COLUMN sources uuid[] NOT NULL DEFAULT '{}';
