"""`make docs`: writes the documents that code can write; `--check` says what is out of date."""

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from config.embedded.stores import Stores
from config.environment import CHECKOUT
from deployments.documents import api, decisions, schema

DOCS = CHECKOUT / "docs"
DSN = "DOCUMENTS_DATABASE_URL"
"""An empty database to migrate and look at; without it one is started for the purpose."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.documents", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where one is out of date")
    check = parser.parse_args(arguments).check
    wanted = {
        DOCS / "API_DOCUMENTATION.md": api.text(),
        DOCS / "DATABASE_SCHEMA.md": _schema(),
        DOCS / "adr" / "README.md": decisions.text(),
    }
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(CHECKOUT)} {'is out of date: make docs' if check else 'written'}")
        if not check:
            path.write_text(wanted[path])
    return int(check and bool(stale))


def _schema() -> str:
    if dsn := os.environ.get(DSN):
        return asyncio.run(schema.text(dsn))
    with tempfile.TemporaryDirectory(prefix="es-docs-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL does not run as root: its user has to reach the folder
        stores = Stores(Path(folder) / "home", wanted=frozenset({"postgres"}))
        try:
            addresses = stores.start()
            assert addresses.database_url  # noqa: S101
            return asyncio.run(schema.text(addresses.database_url))
        finally:
            stores.destroy()


if __name__ == "__main__":
    sys.exit(main())
