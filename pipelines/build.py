"""`python -m pipelines.build NAME [--for SECONDS] [--json FILE]`: build an index version, and judge it.

NAME is what `POST /api/v1/knowledge/indexes` answered. What was written is not embedded again: a build that
was killed, or whose time was over (exit status 3), goes on where it was.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from config import environment
from config.embedded.stores import Stores, unnamed
from config.profile import load
from pipelines import console, observation
from pipelines.index import EXPECTED
from pipelines.indexing.run import Unfinished
from pipelines.indexing.service import build

UNFINISHED = 3


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipelines.build", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--for", type=float, default=float("inf"), metavar="SECONDS", dest="seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary there")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    try:
        env = environment.read()
        with (
            Stores(env.home, wanted=unnamed(env) - {"valkey"}) as addresses,
            console.progress("build") as say,
        ):
            os.environ.update(addresses.environ())
            profile = load(os.environ.get("ESERVICE_PROFILE") or "local")
            with observation.batch("build"):
                summary = build(
                    options.name,
                    profile,
                    environment.read(),
                    seconds=options.seconds,
                    progress=lambda s: say(f"{s.documents:,} documents, {s.embedded:,} chunks embedded"),
                )
    except Unfinished as error:
        console.failed(error)
        return UNFINISHED
    except (*EXPECTED, ValueError) as error:
        return console.failed(error)
    except KeyboardInterrupt:
        return console.failed("interrupted; the next run goes on from there")
    if options.json:
        options.json.write_text(json.dumps(summary.as_json(), indent=2) + "\n")
    console.table("Built", {k: v for k, v in summary.as_json().items() if k != "skipped"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
