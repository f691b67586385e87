-- The queue of tickets that triage knows no queue for: a person sorts them from there.
ALTER TABLE queues ADD COLUMN takes_unknown boolean NOT NULL DEFAULT false;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX queues_one_takes_unknown ON queues (takes_unknown) WHERE takes_unknown;

-- How many examples of each label a version had; null where that was not written down yet.
ALTER TABLE triage_versions ADD COLUMN label_counts jsonb;

-- Labels that somebody announced: what they mean, before there are examples.
CREATE TABLE triage_labels (
    name text PRIMARY KEY,
    description text NOT NULL,
    queue text,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- What an LLM was asked about labels that the version of the time could not know. One row a ticket: the
-- day's rows are the budget.
CREATE TABLE triage_questions (
    ticket_id uuid PRIMARY KEY REFERENCES tickets ON DELETE CASCADE,
    version_id uuid NOT NULL REFERENCES triage_versions ON DELETE CASCADE,
    asked_at timestamptz NOT NULL DEFAULT now(),
    outcome text NOT NULL DEFAULT 'asked',
    label text,
    decided boolean NOT NULL DEFAULT false,
    model text,
    provider text,
    prompt_tokens integer NOT NULL DEFAULT 0,
    completion_tokens integer NOT NULL DEFAULT 0,
    cost_usd double precision NOT NULL DEFAULT 0,
    seconds real
);
CREATE INDEX triage_questions_asked ON triage_questions (asked_at);
CREATE INDEX triage_questions_version ON triage_questions (version_id);

-- How the customer felt, where a person says so.
ALTER TABLE triage_examples ADD COLUMN sentiment text;
