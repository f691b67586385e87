"""`make bench [ONLY=name]`: every benchmark of this folder, one after the other, each printing its table.

A benchmark is a module here that takes arguments. One that fails, most often because it wants a running
service, does not keep the others.
"""

import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.py") if "ArgumentParser(" in file.read_text())


def main(only: list[str]) -> int:
    there = [each for each in names() if each != "__main__"]
    if unknown := set(only) - set(there):
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(there)}", file=sys.stderr)
        return 2
    failed = []
    for name in only or there:
        print(f"\n── {name}", flush=True)
        begun = time.monotonic()
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=FOLDER.parent, check=False)
        print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)
        failed += [name] * bool(done.returncode)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
