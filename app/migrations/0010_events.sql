-- The log of what happened, one row for each change, written in the change's transaction. Rows get their
-- `position` a moment later, in the order of `seq`, from whoever holds the one row of `event_log`: a reader who
-- remembers a position can therefore not miss a transaction that began earlier and committed later.
CREATE TABLE domain_events (
    id uuid NOT NULL DEFAULT uuidv7(),
    occurred_at timestamptz NOT NULL DEFAULT now(),
    seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    position bigint,
    aggregate text NOT NULL CHECK (aggregate ~ '^[a-z_]{1,40}$'),
    aggregate_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind ~ '^[a-z_]{1,60}$'),
    actor text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (occurred_at, id)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX domain_events_unplaced ON domain_events (seq) WHERE position IS NULL;
CREATE INDEX domain_events_position ON domain_events (position) WHERE position IS NOT NULL;

CREATE TABLE event_log (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_position bigint NOT NULL DEFAULT 0
);
INSERT INTO event_log DEFAULT VALUES;

-- How far each reader of the log has come, and which process reads for it now.
CREATE TABLE event_cursors (
    consumer text PRIMARY KEY,
    position bigint NOT NULL,
    lease_token uuid,
    lease_until timestamptz,
    moved_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((lease_token IS NULL) = (lease_until IS NULL))
);

-- Months in UTC, from this one to `ahead` more. No DEFAULT partition: DETACH CONCURRENTLY fails beside one.
CREATE FUNCTION make_month_partitions(parent text, ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    starts timestamp;
    name text;
    made integer := 0;
BEGIN
    FOR months IN 0..ahead LOOP
        starts := this_month + make_interval(months => months);
        name := parent || to_char(starts, '"_y"YYYY"m"MM');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                name, parent, starts || '+00', starts + interval '1 month' || '+00'
            );
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$$;

-- Partitions that ended more than `keep` months ago.
CREATE FUNCTION drop_month_partitions(parent text, keep integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    oldest text := parent || to_char(
        date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => keep), '"_y"YYYY"m"MM');
    name text;
    dropped integer := 0;
BEGIN
    FOR name IN
        SELECT inhrelid::regclass::text FROM pg_inherits
         WHERE inhparent = parent::regclass AND inhrelid::regclass::text < oldest
    LOOP
        EXECUTE format('DROP TABLE %I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

SELECT make_month_partitions('domain_events', 3);
INSERT INTO schedules (kind, every) VALUES ('keep_event_log', interval '6 hours');
