"""`python -m pipelines.rebuild [--json FILE]`: the vector store from PostgreSQL, which holds every text.

Embeds what has no vector, or one of another embedder, and deletes vectors that nothing names: after a
restored backup, a lost Milvus, a changed model. What is in order is left alone: it may run every night.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from config import environment
from config.embedded.stores import Stores, unnamed
from config.profile import load
from pipelines import console, observation
from pipelines.index import EXPECTED
from pipelines.indexing.service import index_sources


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipelines.rebuild", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary there")
    options = parser.parse_args(arguments)
    try:
        env = environment.read()
        with Stores(env.home, wanted=unnamed(env) - {"valkey"}) as addresses:
            os.environ.update(addresses.environ())
            profile = load(os.environ.get("ESERVICE_PROFILE") or "local")
            with observation.batch("rebuild"):
                summary = index_sources([], profile, environment.read())
        if options.json:
            options.json.write_text(json.dumps(summary.as_json(), indent=2) + "\n")
    except EXPECTED as error:
        return console.failed(error)
    except KeyboardInterrupt:
        return console.failed("interrupted; the next run goes on from there")
    figures = summary.as_json()
    console.table("Rebuilt", {name: figures[name] for name in ("chunks", "embedded", "deleted", "seconds")})
    return 0


if __name__ == "__main__":
    sys.exit(main())
