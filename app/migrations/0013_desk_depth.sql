CREATE TABLE ticket_links (
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('relates_to', 'blocks', 'causes', 'duplicates')),
    other_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (ticket_id, kind, other_id),
    CHECK (ticket_id <> other_id)
);
CREATE INDEX ticket_links_other ON ticket_links (other_id);

-- A merged ticket is closed for good: what was said in it stands in the other one.
CREATE TABLE ticket_merges (
    ticket_id uuid PRIMARY KEY REFERENCES tickets ON DELETE CASCADE,
    into_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (ticket_id <> into_id)
);
CREATE INDEX ticket_merges_into ON ticket_merges (into_id);

-- What is known of a file; the file itself lies where `url` says, if anywhere.
CREATE TABLE ticket_attachments (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    message_id uuid REFERENCES ticket_messages ON DELETE CASCADE,
    author_id uuid NOT NULL REFERENCES users,
    internal boolean NOT NULL DEFAULT false,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    media_type text NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    url text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ticket_attachments_ticket ON ticket_attachments (ticket_id, id);
CREATE INDEX ticket_attachments_message ON ticket_attachments (message_id);
CREATE INDEX ticket_attachments_author ON ticket_attachments (author_id);

CREATE TABLE queue_fields (
    queue_id uuid NOT NULL REFERENCES queues ON DELETE CASCADE,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 50),
    kind text NOT NULL CHECK (kind IN ('text', 'number', 'boolean', 'date', 'choice')),
    required boolean NOT NULL DEFAULT false,
    choices text[] NOT NULL DEFAULT '{}',
    place integer NOT NULL,
    PRIMARY KEY (queue_id, name),
    CHECK ((kind = 'choice') = (cardinality(choices) > 0))
);

-- The first rule that fits, in the order of `place`, has the last word over triage.
CREATE TABLE routing_rules (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    name text NOT NULL UNIQUE,
    place integer NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    conditions jsonb NOT NULL,
    actions jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX routing_rules_order ON routing_rules (place, id);

-- What the foreign keys of the tables that grow need when a user goes.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX ticket_messages_author ON ticket_messages (author_id);
