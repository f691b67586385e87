"""`python -m pipelines.backfill triage [--all] [--json FILE]`: old tickets, read by what was learnt since."""

import argparse
import signal
import sys

from pipelines import observation
from pipelines.backfilling import triage


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipelines.backfill", description=__doc__)
    subjects = parser.add_subparsers(required=True, metavar="WHAT")
    subject = subjects.add_parser("triage", help=triage.__doc__, description=triage.__doc__)
    triage.add_arguments(subject)
    subject.set_defaults(run=triage.run)
    args = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))  # as Ctrl-C: what was written stays
    with observation.batch("backfill"):
        return int(args.run(args))


if __name__ == "__main__":
    sys.exit(main())
