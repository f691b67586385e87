"""`python -m config.embedded start|stop|status`: the embedded stores of this home by hand."""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from config import environment
from config.embedded.child import StoreFailed
from config.embedded.locks import Busy
from config.embedded.stores import Status, Stores


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m config.embedded", description=__doc__)
    parser.add_argument("act", choices=["start", "stop", "status"])
    act = parser.parse_args().act
    stores = Stores(environment.read().home)
    try:
        if act == "start":
            stores.start()
        elif act == "stop":
            stores.stop()
    except (StoreFailed, Busy, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    found = stores.status()
    Console().print(_table(found, f"embedded stores of {stores.home}"))
    return 0 if act != "status" or all(store.state == "running" for store in found) else 1


def _table(found: list[Status], title: str) -> Table:
    table = Table("store", "state", "pid", "port", title=title)
    for store in found:
        table.add_row(store.name, store.state, str(store.pid or ""), str(store.port or ""))
    return table


if __name__ == "__main__":
    sys.exit(main())
