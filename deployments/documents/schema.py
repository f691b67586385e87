"""DATABASE_SCHEMA.md from a database that was migrated from nothing: what PostgreSQL itself says is there."""

from collections.abc import Sequence

import asyncpg

from app import db

HEADER = """\
# Database schema

Written by `make docs` from PostgreSQL's own catalogue, after every migration of `app/migrations`, where the
reasons stand. SQL of a slice is in its `repository.py`.
"""

TABLES = """
SELECT c.oid, c.relname AS name, obj_description(c.oid) AS comment, c.relkind = 'p' AS partitioned
  FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
 ORDER BY c.relname
"""
COLUMNS = """
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS needed,
       pg_get_expr(d.adbin, d.adrelid) AS value, a.attgenerated <> '' AS generated,
       col_description(a.attrelid, a.attnum) AS comment
  FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
"""
CONSTRAINTS = """
SELECT pg_get_constraintdef(oid) AS definition
  FROM pg_constraint WHERE conrelid = $1 AND contype IN ('p', 'u', 'f', 'c', 'x')
 ORDER BY contype <> 'p', conname
"""
INDEXES = """
SELECT regexp_replace(pg_get_indexdef(i.indexrelid), '^CREATE (UNIQUE )?INDEX \\S+ ON (ONLY )?\\S+ ', '\\1')
       AS definition
  FROM pg_index i
 WHERE i.indrelid = $1 AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)
 ORDER BY 1
"""
ENUMS = """
SELECT t.typname AS name, array_agg(e.enumlabel ORDER BY e.enumsortorder) AS labels
  FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
 WHERE t.typnamespace = 'public'::regnamespace
 GROUP BY 1 ORDER BY 1
"""
LONG = 90
"""Characters of a default or generated expression that a table bears."""


async def text(dsn: str) -> str:
    """The whole document; `dsn` names an empty database."""
    await db.migrate(dsn)
    conn = await asyncpg.connect(dsn)
    try:
        parts = [HEADER, "\n## Types\n\n| type | values |\n|---|---|\n"]
        parts += [f"| `{e['name']}` | {', '.join(e['labels'])} |\n" for e in await conn.fetch(ENUMS)]
        for table in await conn.fetch(TABLES):
            parts.append(await _table(conn, table))
        return "".join(parts)
    finally:
        await conn.close()


async def _table(conn: "asyncpg.Connection[asyncpg.Record]", table: asyncpg.Record) -> str:
    columns = await conn.fetch(COLUMNS, table["oid"])
    lines = [f"\n## {table['name']}\n"]
    if table["comment"]:
        lines.append(f"{table['comment']}\n")
    if table["partitioned"]:
        lines.append("Partitioned.\n")
    lines += ["| column | type | |", "|---|---|---|"]
    lines += [f"| `{c['name']}` | {c['type']} | {_cell(_notes(c))} |" for c in columns]
    for title, query in (("", CONSTRAINTS), ("Index ", INDEXES)):
        found = [row["definition"] for row in await conn.fetch(query, table["oid"])]
        lines += _list(title, found)
    return "\n".join(lines) + "\n"


def _notes(column: asyncpg.Record) -> list[str]:
    value = (column["value"] or "")[:LONG]
    notes = [] if column["needed"] else ["may be null"]
    if value:
        notes.append(f"generated: `{value}`" if column["generated"] else f"default `{value}`")
    return notes + ([column["comment"]] if column["comment"] else [])


def _cell(notes: Sequence[str]) -> str:
    return " ".join("; ".join(notes).split()).replace("|", "\\|")


def _list(title: str, definitions: Sequence[str]) -> list[str]:
    return ["", *(f"- {title}`{' '.join(each.split())}`" for each in definitions)] if definitions else []
