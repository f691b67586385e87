-- Drops the months of the audit that ended more than `keep` months ago. They are the front of the chain: what stood
-- before the first entry that is left stays in audit_head, and an entry says that they were dropped, and up to where.
CREATE FUNCTION drop_audit_months(keep integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    oldest CONSTANT timestamptz :=
        (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => keep)) AT TIME ZONE 'UTC';
    cut record;
BEGIN
    PERFORM FROM audit_head FOR UPDATE;
    SELECT position, hash INTO cut FROM audit_log WHERE sealed_at < oldest ORDER BY position DESC LIMIT 1;
    IF FOUND THEN
        UPDATE audit_head SET start_position = cut.position, start_hash = cut.hash;
        PERFORM audit_note('dropped', 'audit_log', cut.position::text,
                           jsonb_build_object('hash', jsonb_build_array(encode(cut.hash, 'hex'), NULL))::text);
    END IF;
    RETURN drop_month_partitions('audit_log', keep);
END
$$;
