"""`make stop`: end the service of this home, and whatever a crash of it left behind."""

import contextlib
import sys

import psutil

from config import environment
from config.embedded.stores import Stores
from deployments.local import processes

GRACE_S = 60.0


def main() -> int:
    env = environment.read()
    pid_file = env.home / "run" / "serve.pid"
    if pid_file.exists():
        with contextlib.suppress(psutil.Error, ValueError):
            service = psutil.Process(int(pid_file.read_text()))
            if "deployments.local.serve" in " ".join(service.cmdline()):
                service.terminate()
                service.wait(GRACE_S)
        pid_file.unlink(missing_ok=True)
    left = processes.end_cluster(env.home)
    Stores(env.home).stop()
    print(f"stopped{f'; {left} processes were left over' if left else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
