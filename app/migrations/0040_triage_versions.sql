-- The life of a version: candidate, then shadow beside the active one, then active, then retired.
ALTER TABLE triage_versions
    ADD COLUMN state text NOT NULL DEFAULT 'candidate',
    ADD COLUMN data text,
    ADD COLUMN comparison jsonb,
    ADD COLUMN shadow_since timestamptz,
    ADD COLUMN promoted_at timestamptz,
    ADD COLUMN promoted_by text;
UPDATE triage_versions SET state = 'active', promoted_at = created_at, promoted_by = 'system:train' WHERE active;
ALTER TABLE triage_versions
    ADD CONSTRAINT triage_versions_state
    CHECK (state IN ('candidate', 'shadow', 'active', 'retired')) NOT VALID;
-- squawk-ignore ban-drop-column
ALTER TABLE triage_versions DROP COLUMN active;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX triage_versions_one_active ON triage_versions (state) WHERE state = 'active';
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX triage_versions_one_shadow ON triage_versions (state) WHERE state = 'shadow';

-- What each version said of each ticket; `projection` is the text's vector in the version's few directions.
CREATE TABLE triage_decisions (
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    version_id uuid NOT NULL REFERENCES triage_versions ON DELETE CASCADE,
    shadow boolean NOT NULL,
    intent text,
    queue text,
    priority text NOT NULL,
    best text NOT NULL,
    probability real NOT NULL,
    familiarity real NOT NULL,
    projection real[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (ticket_id, version_id)
);
CREATE INDEX triage_decisions_version ON triage_decisions (version_id, created_at);
CREATE INDEX triage_decisions_day ON triage_decisions (created_at) WHERE NOT shadow;

-- What people changed of a triaged ticket: an example to learn from. The text stays with the ticket.
CREATE TABLE triage_examples (
    ticket_id uuid PRIMARY KEY REFERENCES tickets ON DELETE CASCADE,
    intent text,
    queue text,
    priority text,
    corrected_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX triage_examples_age ON triage_examples (updated_at);

-- One value a day and statistic; `alarm` where so rare a value came up.
CREATE TABLE triage_drift (
    day date NOT NULL,
    statistic text NOT NULL,
    value double precision NOT NULL,
    size integer NOT NULL,
    p double precision,
    alarm boolean NOT NULL DEFAULT false,
    PRIMARY KEY (day, statistic)
);

INSERT INTO schedules (kind, every, next_run_at) VALUES
    ('triage_drift', interval '1 hour', now()),
    ('triage_retrain', interval '24 hours', date_trunc('day', now()) + interval '27 hours');
