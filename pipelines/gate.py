"""`python -m pipelines.gate REPORT --least NAME=FIGURE ... [--most NAME=FIGURE ...]`: the quality gate.

Reads what an evaluation wrote with `--json`; ends with 1 where a figure is missing or on the wrong side.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines import console


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipelines.gate", description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("--least", action="append", default=[], type=bound, metavar="NAME=FIGURE")
    parser.add_argument("--most", action="append", default=[], type=bound, metavar="NAME=FIGURE")
    options = parser.parse_args(arguments)
    if not options.least and not options.most:
        parser.error("name at least one figure, or there is no gate")
    try:
        report = json.loads(options.report.read_text())
    except (OSError, ValueError) as error:
        return console.failed(f"{options.report} cannot be read: {error}")
    broken = list(broken_bounds(report, dict(options.least), dict(options.most)))
    for each in broken:
        console.failed(each)
    if not broken:
        bounds = [f"{n} >= {x:g}" for n, x in options.least] + [f"{n} <= {x:g}" for n, x in options.most]
        print(f"the gate holds: {', '.join(bounds)}")
    return int(bool(broken))


def bound(text: str) -> tuple[str, float]:
    name, _, figure = text.rpartition("=")
    if not name or not math.isfinite(float(figure)):
        raise ValueError(text)
    return name, float(figure)


def broken_bounds(
    report: Mapping[str, object], least: Mapping[str, float], most: Mapping[str, float]
) -> Iterator[str]:
    """Every bound that does not hold, in words."""
    for name in [*least, *(each for each in most if each not in least)]:
        value = report.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value):
            yield f"{name}: the report has {value!r}, not a figure"
            continue
        if name in least and value < least[name]:
            yield f"{name}: {value:g} is less than {least[name]:g}"
        if name in most and value > most[name]:
            yield f"{name}: {value:g} is more than {most[name]:g}"


if __name__ == "__main__":
    sys.exit(main())
