"""PostgreSQL with a clock that the test sets: `now()` and `clock_timestamp()` are ours, also in defaults.

So the services run a year in a minute, and nothing of them knows.
"""

from datetime import UTC, datetime, timedelta

from app import db

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

INSTALL = """
CREATE SCHEMA clock;
CREATE SEQUENCE clock.microseconds;
CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT timestamptz 'epoch' + last_value * interval '1 microsecond' FROM clock.microseconds $$;
CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    $$ SELECT timestamptz 'epoch' + last_value * interval '1 microsecond' FROM clock.microseconds $$;
DO $$
DECLARE
    each record;
BEGIN
    FOR each IN SELECT c.table_name, c.column_name FROM information_schema.columns c
                  JOIN information_schema.tables t USING (table_schema, table_name)
                 WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
                   AND c.column_default = 'now()'
    LOOP
        EXECUTE format('ALTER TABLE public.%I ALTER COLUMN %I SET DEFAULT clock.now()',
                       each.table_name, each.column_name);
    END LOOP;
    EXECUTE format('ALTER DATABASE %I SET search_path = clock, pg_catalog, public', current_database());
END
$$;
"""


class Clock:
    """Of one database; every connection that is opened after `install` goes by it."""

    def __init__(self, conn: db.Connection) -> None:
        self._conn = conn

    async def install(self, at: datetime, months: int) -> None:
        """Begin at `at`, with room for that many months in what is cut into months."""
        await self._conn.execute(INSTALL)
        await self._conn.execute("SET search_path = clock, pg_catalog, public")
        await self.set(at)
        for row in await self._conn.fetch(
            "SELECT partrelid::regclass::text AS name FROM pg_partitioned_table"
        ):
            await self._conn.execute("SELECT make_month_partitions($1, $2)", row["name"], months)

    async def set(self, at: datetime) -> None:
        microseconds = (at - EPOCH) // timedelta(microseconds=1)
        await self._conn.execute("SELECT setval('clock.microseconds', $1)", microseconds)
