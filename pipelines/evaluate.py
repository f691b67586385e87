"""`python -m pipelines.evaluate retrieval|triage|live ...`: how good the service is, where answers are known.

Needs no running service: it uses stores of its own, thrown away afterwards; only `live` reads the service's.
"""

import argparse
import sys

from config import environment
from config.embedded.child import StoreFailed
from config.profile import ProfileError
from models.embedding.onnx import ModelNotFound
from models.loading.documents import SourceError
from models.retrieval.store import StoreUnavailable
from pipelines import console, observation
from pipelines.evaluation import live, retrieval, triage

EXPECTED = (
    ValueError,  # data sets and settings that do not fit; the message names them
    OSError,
    SourceError,
    ProfileError,
    environment.InvalidSetting,
    ModelNotFound,
    StoreFailed,
    StoreUnavailable,
)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipelines.evaluate", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for name, kind in (("retrieval", retrieval), ("triage", triage), ("live", live)):
        one = kinds.add_parser(name, description=kind.__doc__)
        kind.add_arguments(one)
        one.set_defaults(run=kind.run)
    options = parser.parse_args(arguments)
    try:
        with observation.batch("evaluate"):
            return int(options.run(options))
    except EXPECTED as error:
        return console.failed(error)
    except KeyboardInterrupt:
        return console.failed("interrupted")


if __name__ == "__main__":
    sys.exit(main())
