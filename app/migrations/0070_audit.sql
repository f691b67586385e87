-- Every mutation, by whom, from where and what changed: written by triggers in the change's own transaction, into
-- `audit_pending`. The sealer takes committed rows out of it in batches, in the order of writing, and appends them to
-- the chain, `audit_log`, which nobody changes: an entry's `hash` covers the entry and the hash before it
-- (app/audit/chain.py). So writers wait for nobody, and a transaction that commits late is sealed late, not lost.
CREATE TABLE audit_pending (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    api_key text,
    address text,
    cause text,
    action text NOT NULL CHECK (action IN ('created', 'changed', 'deleted', 'emptied', 'read', 'dropped')),
    object text NOT NULL,
    object_id text NOT NULL,
    change text NOT NULL
);

-- Months of sealing, not of happening: so that a month is a run of positions, and can be dropped from the front.
CREATE TABLE audit_log (
    position bigint NOT NULL,
    sealed_at timestamptz NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    id bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    actor text NOT NULL,
    api_key text,
    address text,
    cause text,
    action text NOT NULL,
    object text NOT NULL,
    object_id text NOT NULL,
    change text NOT NULL,
    PRIMARY KEY (position, sealed_at)
) PARTITION BY RANGE (sealed_at);
CREATE INDEX audit_log_id ON audit_log (id);
CREATE INDEX audit_log_object ON audit_log (object, object_id, id);
CREATE INDEX audit_log_actor ON audit_log (actor, id);
CREATE INDEX audit_log_cause ON audit_log (cause, id) WHERE cause IS NOT NULL;
CREATE INDEX audit_log_occurred ON audit_log (occurred_at);

-- The end of the chain, and what stood before its first entry. Whoever seals holds this row.
CREATE TABLE audit_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    sealed_at timestamptz NOT NULL,
    start_position bigint NOT NULL,
    start_hash bytea NOT NULL CHECK (length(start_hash) = 32)
);
INSERT INTO audit_head (position, hash, sealed_at, start_position, start_hash)
VALUES (0, decode(repeat('00', 32), 'hex'), now(), 0, decode(repeat('00', 32), 'hex'));

SELECT make_month_partitions('audit_log', 3);

-- A text is recorded only where its trigger names its column: what people write must be able to end with their key,
-- and this log cannot forget. Sealed values (first byte 1) are recorded as they are.
CREATE FUNCTION audit_value(value jsonb, shown boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN shown OR value = 'null' OR starts_with(value #>> '{}', '\x01') THEN value
                ELSE '{"withheld": true}' END
$$;

-- What acts: app/attribution.py sets `eservice.by` with BEGIN; who changes rows by hand is `database:` and a role.
CREATE FUNCTION audit_note(what text, of_table text, of_row text, changes text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    said text[] := string_to_array(nullif(current_setting('eservice.by', true), ''), ' ');
BEGIN
    INSERT INTO audit_pending (actor, api_key, address, cause, action, object, object_id, change)
    VALUES (coalesce(said[1], 'database:' || session_user), nullif(said[2], '-'),
            coalesce(nullif(said[3], '-'), host(inet_client_addr())), nullif(said[4], '-'),
            what, of_table, of_row, changes);
END
$$;

-- Arguments: the key's columns, columns whose values may be shown, columns that are left out altogether.
CREATE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    keys CONSTANT text[] := TG_ARGV[0];
    shown CONSTANT text[] := TG_ARGV[1];
    left_out CONSTANT text[] := TG_ARGV[2];
    before jsonb := '{}';
    after jsonb := '{}';
    whole jsonb;
    changes text;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        before := to_jsonb(OLD) - left_out;
        whole := before;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        after := to_jsonb(NEW) - left_out;
        whole := after;
    END IF;
    IF before = after THEN
        RETURN NULL;
    END IF;
    SELECT jsonb_object_agg(
               name,
               jsonb_build_array(audit_value(was, name = ANY (shown)), audit_value(becomes, name = ANY (shown)))
           )::text
      INTO changes
      FROM (SELECT key AS name, coalesce(before -> key, 'null') AS was, coalesce(after -> key, 'null') AS becomes
              FROM jsonb_object_keys(whole) AS key) AS each
     WHERE was <> becomes;
    PERFORM audit_note(
        CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END,
        TG_TABLE_NAME,
        CASE WHEN cardinality(keys) = 1 THEN whole ->> keys[1]
             ELSE (SELECT string_agg(whole ->> key, '/' ORDER BY place)
                     FROM unnest(keys) WITH ORDINALITY AS part (key, place)) END,
        coalesce(changes, '{}')
    );
    RETURN NULL;
END
$$;

CREATE FUNCTION audit_emptied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM audit_note('emptied', TG_TABLE_NAME, '', '{}');
    RETURN NULL;
END
$$;

-- Lets a table be audited from now on; called again, by other rules. Values of `plain` text columns are recorded, and
-- those of every type that cannot hold what somebody wrote; a column that is added later is withheld until this is
-- called again. `condition` may name OLD only where `operations` have no INSERT, NEW only where they have no DELETE.
CREATE FUNCTION audit_table(
    audited regclass,
    plain text[] DEFAULT '{}',
    left_out text[] DEFAULT '{}',
    operations text DEFAULT 'INSERT OR UPDATE OR DELETE',
    condition text DEFAULT 'true'
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    keys text[];
    shown text[];
BEGIN
    SELECT array_agg(a.attname::text ORDER BY array_position(i.indkey::smallint[], a.attnum)) INTO keys
      FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
     WHERE i.indrelid = audited AND i.indisprimary;
    SELECT plain || coalesce(array_agg(a.attname::text), '{}') INTO shown
      FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = audited AND a.attnum > 0 AND NOT a.attisdropped
       AND (t.typtype = 'e' OR t.typcategory IN ('B', 'D', 'N', 'T') OR t.typname IN ('uuid', '_uuid', '_date'));
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER audit AFTER %s ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION audit_change(%L, %L, %L)',
        operations, audited, condition, keys, shown, left_out
    );
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER audit_emptied AFTER TRUNCATE ON %s EXECUTE FUNCTION audit_emptied()', audited
    );
END
$$;

-- What the sealer seals next: the only way by which rows leave `audit_pending`.
CREATE FUNCTION take_audit(most integer) RETURNS SETOF audit_pending
LANGUAGE sql SET eservice.sealing = 'on' AS $$
    DELETE FROM audit_pending WHERE id = ANY (ARRAY(SELECT id FROM audit_pending ORDER BY id LIMIT most)) RETURNING *
$$;

-- Against mistakes and injected statements; whoever owns the tables can take the triggers off. What they change
-- then, the chain gives away.
CREATE FUNCTION audit_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'audit_pending' AND current_setting('eservice.sealing', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit log is appended to and never changed' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER keeps BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_keeps();
CREATE TRIGGER keeps_all BEFORE TRUNCATE ON audit_log EXECUTE FUNCTION audit_keeps();
CREATE TRIGGER keeps BEFORE UPDATE OR DELETE ON audit_pending FOR EACH ROW EXECUTE FUNCTION audit_keeps();
CREATE TRIGGER keeps_all BEFORE TRUNCATE ON audit_pending EXECUTE FUNCTION audit_keeps();

COMMENT ON TABLE audit_pending IS 'Changes as their own transactions wrote them down, for about a second: until they are sealed.';
COMMENT ON TABLE audit_log IS 'Every change of the desk, by whom, from where and what, in a chain of hashes. Never changed; months can be dropped from the front.';
COMMENT ON TABLE audit_head IS 'The end of the audit''s chain and what stood before its first entry; whoever seals holds it.';
