"""What a running local service weighs: `python benchmarks/footprint.py [--json FILE]`.

Proportional set size (PSS) of every process of this home, summed by part: memory that processes share is
counted once, divided among them. Linux only.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from config import environment
from config.embedded.stores import Stores
from deployments.local import processes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    home = environment.read().home
    weights: defaultdict[str, float] = defaultdict(float)
    for process in processes.of_cluster(home):
        weights[_part(process)] += process.memory_full_info().pss
    for store in Stores(home).status():
        if store.pid:
            family = [psutil.Process(store.pid), *psutil.Process(store.pid).children(recursive=True)]
            weights[store.name] += sum(each.memory_full_info().pss for each in family)
    if not weights:
        print(f"no service runs in {home}", file=sys.stderr)
        return 1
    megabytes = {name: round(size / 2**20) for name, size in sorted(weights.items(), key=lambda w: -w[1])}
    megabytes["total"] = round(sum(weights.values()) / 2**20)
    if options.json:
        options.json.write_text(json.dumps(megabytes, indent=1))
    table = Table("part", "PSS, MiB")
    for name, size in megabytes.items():
        table.add_row(name, f"{size:,}")
    Console().print(table)
    return 0


def _part(process: psutil.Process) -> str:
    """`ray::ServeReplica:eservice:Gateway` is Gateway; vLLM's own processes belong to the LLM."""
    name = " ".join(process.cmdline()) or process.name()
    if "ServeReplica" in name:
        return name.split(":")[-1].split(".")[0].split()[0]
    if "VLLM" in name:
        return "LLM"
    if "haproxy" in name and "ray::" not in name:
        return "HAProxy"
    if "ServeController" in name or "ProxyActor" in name or "HAProxyManager" in name:
        return "Serve's own"
    if "ray::" in name:
        return "Ray's workers"
    return "Ray's own"


if __name__ == "__main__":
    sys.exit(main())
