-- Work that comes round: a runner that knows the kind enqueues it when it is due.
CREATE TABLE schedules (
    kind text PRIMARY KEY,
    every interval NOT NULL CHECK (every >= interval '1 second'),
    next_run_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO schedules (kind, every) VALUES ('sla_sweep', interval '15 seconds');

CREATE TABLE sla_calendars (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    name text NOT NULL UNIQUE,
    zone text NOT NULL,
    week jsonb NOT NULL,
    country text,
    subdivision text,
    closed date[] NOT NULL DEFAULT '{}',
    CHECK (country IS NOT NULL OR subdivision IS NULL)
);

-- Of the policies that fit a ticket the one with the most conditions counts (see app/sla/repository.py).
CREATE TABLE sla_policies (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    name text NOT NULL UNIQUE,
    calendar_id uuid NOT NULL REFERENCES sla_calendars,
    priority ticket_priority,
    queue_id uuid REFERENCES queues,
    tier text,
    first_response_min integer CHECK (first_response_min > 0),
    next_response_min integer CHECK (next_response_min > 0),
    resolution_min integer CHECK (resolution_min > 0),
    escalations jsonb NOT NULL DEFAULT '[]',
    CHECK (num_nonnulls(first_response_min, next_response_min, resolution_min) > 0),
    UNIQUE NULLS NOT DISTINCT (priority, queue_id, tier)
);
CREATE INDEX sla_policies_calendar ON sla_policies (calendar_id);
CREATE INDEX sla_policies_queue ON sla_policies (queue_id);

CREATE TABLE customer_tiers (
    user_id uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    tier text NOT NULL
);

-- `spent` is business time up to `since`; a clock that stands has no `since`. `next_at` is when the sweep looks.
CREATE TABLE sla_clocks (
    ticket_id uuid NOT NULL REFERENCES tickets ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('first_response', 'next_response', 'resolution')),
    policy_id uuid NOT NULL REFERENCES sla_policies,
    calendar_id uuid NOT NULL REFERENCES sla_calendars,
    target interval NOT NULL,
    started_at timestamptz NOT NULL,
    since timestamptz,
    spent interval NOT NULL,
    warned integer NOT NULL,
    ended_at timestamptz,
    target_at timestamptz,
    next_at timestamptz,
    PRIMARY KEY (ticket_id, kind),
    CHECK (ended_at IS NULL OR since IS NULL)
);
CREATE INDEX sla_clocks_next ON sla_clocks (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX sla_clocks_policy ON sla_clocks (policy_id);
CREATE INDEX sla_clocks_calendar ON sla_clocks (calendar_id);
