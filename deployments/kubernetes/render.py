"""`make manifests`: writes what is generated under `kuberay/`; with `--check` says what is out of date.

The chart is the one source: the Kustomize base is the chart rendered with its default values, comments kept.
The overlays are written by hand, except for the patch that holds their serveConfigV2.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from config.environment import CHECKOUT
from deployments.kubernetes import programs, serve_config
from deployments.kubernetes.serve_config import ENVIRONMENTS, KUBERAY

CHART = KUBERAY / "chart"
COMPONENTS = {"stores": "stores.operated=true", "reindex": "batch.reindex=true"}
"""Objects that only some installations have: a Kustomize component each, a switch in the chart."""

HEADER = "# Rendered from kuberay/chart/templates/{name} by `make manifests`: change it there.\n"


class RenderingFailed(RuntimeError):
    """helm or kubectl refused; the message is theirs."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.kubernetes.render", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where something is out of date"
    )
    check = parser.parse_args(arguments).check
    stale = 0
    for path, content in generated():
        if path.exists() and path.read_text() == content:
            continue
        stale += 1
        print(f"{path.relative_to(CHECKOUT)} {'is out of date: make manifests' if check else 'written'}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    return int(check and stale > 0)


def generated() -> Iterator[tuple[Path, str]]:
    """Each generated file and what it should hold. What the chart's templates read comes first."""
    for environment in ENVIRONMENTS:
        yield CHART / "serve" / f"{environment}.yaml", serve_config.text(environment)
    for rules in sorted((CHECKOUT / "monitoring" / "prometheus" / "rules").glob("*.yml")):
        yield CHART / "rules" / rules.name, rules.read_text()
    for environment in ENVIRONMENTS[1:]:
        patch = KUBERAY / "overlays" / environment / "serve-config-patch.yaml"
        yield patch, serve_config.patch(environment)
    for name, text in rendered().items():
        yield KUBERAY / "base" / name, HEADER.format(name=name) + text
    for component, switch in COMPONENTS.items():
        name = f"{component}.yaml"
        yield KUBERAY / "components" / component / name, HEADER.format(name=name) + rendered(switch)[name]


def rendered(*settings: str, values: Path | None = None, namespace: str = "eservice") -> Mapping[str, str]:
    """The chart's objects by template, as helm renders them."""
    flags = [flag for each in settings for flag in ("--set", each)] + (["-f", str(values)] if values else [])
    out = helm("template", "eservice", str(CHART), "--namespace", namespace, *flags)
    found: dict[str, str] = {}
    for part in re.split(r"^---\n", out, flags=re.MULTILINE):
        source = re.match(r"# Source: eservice/templates/(\S+)\n", part)
        if source and (text := part[source.end() :].strip()):
            name = source.group(1)
            found[name] = f"{found[name]}---\n{text}\n" if name in found else f"{text}\n"
    return found


def helm(*arguments: str) -> str:
    return _run(programs.find("helm"), *arguments)


def kustomize(folder: Path) -> str:
    return _run(programs.find("kubectl"), "kustomize", str(folder))


def _run(program: Path, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RenderingFailed(f"{program.name} {arguments[0]}: {done.stderr.strip()[:2000]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
