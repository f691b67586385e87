-- Who was erased, for whom and when, and how much of what went: the receipt. It says nothing about the person.
CREATE TABLE erasures (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    person_id uuid NOT NULL UNIQUE REFERENCES users,
    asked_by uuid NOT NULL REFERENCES users,
    asked_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    removed jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX erasures_asked_by ON erasures (asked_by);
COMMENT ON TABLE erasures IS 'Receipts: who was erased, at whose word, and how much of what went.';

-- What retention has emptied of its texts; the rows stay for the figures.
ALTER TABLE conversations ADD COLUMN emptied_at timestamptz;
ALTER TABLE tickets ADD COLUMN emptied_at timestamptz;
ALTER TABLE ai_responses ADD COLUMN emptied_at timestamptz;

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX conversations_full ON conversations (updated_at) WHERE emptied_at IS NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX tickets_full ON tickets (updated_at) WHERE emptied_at IS NULL AND status = 'closed';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX ai_responses_full ON ai_responses (created_at) WHERE emptied_at IS NULL;

INSERT INTO schedules (kind, every) VALUES ('keep_retention', interval '1 hour');
