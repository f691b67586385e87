-- 0037 says of every index that it answers, and refuses a database that has others: made under a collection's
-- name that the profile no longer has. What they hold can be built anew. Where 0037 was applied, there is
-- nothing to do: an index that does not answer has a status there.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM information_schema.columns
                    WHERE table_schema = current_schema AND table_name = 'indexes'
                      AND column_name = 'status') THEN
        DELETE FROM chunks WHERE index_name IN (SELECT name FROM indexes WHERE NOT active);
        DELETE FROM indexes WHERE NOT active;
    END IF;
END
$$;
