"""`make prometheus`: the project's Prometheus configuration over the service of this home, on loopback."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from config import environment
from config.embedded.child import is_free
from config.environment import CHECKOUT
from deployments.local import processes

CONFIGURATION = CHECKOUT / "monitoring" / "prometheus" / "prometheus.yml"
DISCOVERY = "prom_metrics_service_discovery.json"
PORT = 9090
MISSING = "Prometheus is not installed; on Debian: apt-get install prometheus"


def main() -> int:
    env = environment.read()
    found = shutil.which("prometheus")
    if found is None:
        print(f"make prometheus: {MISSING}", file=sys.stderr)
        return 1
    if not is_free(PORT):
        print(f"make prometheus: port {PORT} is taken; does it run already?", file=sys.stderr)
        return 1
    folder = env.home / "prometheus"
    if not discovery(env.home).exists():
        print("make prometheus: nothing runs in this home yet; it will be found once `make serve` does")
    command = arguments(found, written(folder, env.home), folder, PORT)
    print(f"Prometheus is at http://127.0.0.1:{PORT}/graph; Ctrl-C ends it")
    return subprocess.run(command, check=False).returncode


def discovery(home: Path) -> Path:
    """Where Ray's head node of this home lists what is to be scraped."""
    return processes.cluster_folder(home) / DISCOVERY


def written(folder: Path, home: Path, *, every: str | None = None, pushed: str | None = None) -> Path:
    """The project's configuration with this home's paths; `every` shortens its intervals for tests.

    `pushed` is the address of a Pushgateway, if there is one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    config["rule_files"] = [str(CONFIGURATION.parent / each) for each in config["rule_files"]]
    if every:
        config["global"] = {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
    ray, batch = config["scrape_configs"]
    ray["file_sd_configs"] = [{"files": [str(discovery(home))], "refresh_interval": every or "10s"}]
    batch.pop("file_sd_configs")
    batch["static_configs"] = [{"targets": [pushed] if pushed else []}]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    return file


def arguments(binary: str, configuration: Path, folder: Path, port: int) -> list[str]:
    return [
        binary,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=2d",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]


if __name__ == "__main__":
    sys.exit(main())
