CREATE TYPE ticket_status AS ENUM ('new', 'open', 'pending', 'on_hold', 'resolved', 'closed');
CREATE TYPE ticket_priority AS ENUM ('low', 'normal', 'high', 'urgent');

CREATE TABLE queues (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    name text NOT NULL UNIQUE,
    description text NOT NULL DEFAULT ''
);

CREATE TABLE agents (
    user_id uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    capacity integer NOT NULL DEFAULT 8 CHECK (capacity >= 0),
    present boolean NOT NULL DEFAULT true,
    languages text[] NOT NULL DEFAULT '{en}',
    last_assigned_at timestamptz
);

CREATE TABLE agent_queues (
    user_id uuid NOT NULL REFERENCES agents ON DELETE CASCADE,
    queue_id uuid NOT NULL REFERENCES queues ON DELETE CASCADE,
    PRIMARY KEY (user_id, queue_id)
);
CREATE INDEX agent_queues_queue ON agent_queues (queue_id);

CREATE TABLE agent_skills (
    user_id uuid NOT NULL REFERENCES agents ON DELETE CASCADE,
    skill text NOT NULL,
    level integer NOT NULL CHECK (level BETWEEN 1 AND 5),
    PRIMARY KEY (user_id, skill)
);

CREATE SEQUENCE ticket_numbers START 1001;

CREATE TABLE tickets (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    number bigint NOT NULL UNIQUE DEFAULT nextval('ticket_numbers'),
    customer_id uuid NOT NULL REFERENCES users,
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 300),
    body text NOT NULL,
    status ticket_status NOT NULL DEFAULT 'new',
    priority ticket_priority,
    queue_id uuid REFERENCES queues,
    intent text,
    language text,
    sentiment text,
    assignee_id uuid REFERENCES users,
    tags text[] NOT NULL DEFAULT '{}',
    custom jsonb NOT NULL DEFAULT '{}',
    triage jsonb,
    version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
ALTER SEQUENCE ticket_numbers OWNED BY tickets.number;
CREATE INDEX tickets_customer ON tickets (customer_id, id DESC);
CREATE INDEX tickets_queue ON tickets (queue_id, id DESC);
CREATE INDEX tickets_status ON tickets (status, id DESC);
CREATE INDEX tickets_assignee ON tickets (assignee_id, id DESC) WHERE status NOT IN ('resolved', 'closed');
CREATE INDEX tickets_unassigned ON tickets (queue_id, id)
    WHERE assignee_id IS NULL AND status IN ('new', 'open');

CREATE TABLE ticket_messages (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    author_id uuid NOT NULL REFERENCES users,
    internal boolean NOT NULL DEFAULT false,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ticket_messages_ticket ON ticket_messages (ticket_id, id);

CREATE TABLE ticket_events (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    actor text NOT NULL,
    kind text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ticket_events_ticket ON ticket_events (ticket_id, id);

-- What triage learnt: one row a trained artefact; replicas watch which one is active.
CREATE TABLE triage_versions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    artefact text NOT NULL,
    data_fingerprint text NOT NULL,
    figures jsonb NOT NULL DEFAULT '{}',
    active boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX triage_versions_one_active ON triage_versions (active) WHERE active;
