"""`python -m pipelines.train triage|reranker ...`: learns from past tickets and from solved cases."""

import argparse
import sys

from pipelines import observation
from pipelines.training import reranker, triage


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipelines.train", description=__doc__)
    subjects = parser.add_subparsers(required=True, metavar="WHAT")
    for name, module in {"triage": triage, "reranker": reranker}.items():
        subject = subjects.add_parser(name, help=module.__doc__, description=module.__doc__)
        module.add_arguments(subject)
        subject.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    with observation.batch("train"):
        return int(args.run(args))


if __name__ == "__main__":
    sys.exit(main())
