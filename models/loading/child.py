"""The process that `isolated` starts: limits itself, then reads one file and prints it as JSON lines."""

import json
import math
import resource
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from models.loading.limits import Limits


def main(path: str, slug: str, limits_json: str) -> int:
    limits = Limits(**json.loads(limits_json))
    bound(limits)
    from models.loading import files  # the parsers, which are large: within the limits
    from models.loading.documents import Problem

    try:
        for found in files.read(Path(path), slug, limits, isolate=False):
            print(json.dumps(asdict(found)))  # noqa: T201
    except MemoryError:
        problem = Problem(path, f"needs more than {limits.memory >> 20:,} MiB of memory to read")
        print(json.dumps(asdict(problem)))  # noqa: T201
    except RecursionError:
        print(json.dumps(asdict(Problem(path, "is nested too deeply"))))  # noqa: T201
    except Exception as error:  # a parser may raise anything at all on a file that is made for it
        print(json.dumps(asdict(Problem(path, f"cannot be read ({type(error).__name__})"))))  # noqa: T201
    return 0


def bound(limits: Limits) -> None:
    """Memory, CPU time, the size of what is written, wall clock; no core dumps."""
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    seconds = math.ceil(limits.seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.unpacked, limits.unpacked))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(seconds + 5)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
