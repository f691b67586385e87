"""Which objects of a rendered manifest a release applies: `python -m deployments.kubernetes.parts FILE`.

CI signs in as `eservice-deployer`, which may bring a release about and nothing else. Who may do what, how
much of the cluster may be used and which stores there are is for whoever runs the platform. Needs nothing
installed.
"""

import argparse
import re
import sys
from pathlib import Path

MIGRATION = ("ConfigMap", "ExternalSecret", "Job", "NetworkPolicy", "PersistentVolumeClaim", "ServiceAccount")
"""The migration Job and what its pod needs."""
RELEASE = (
    *(kind for kind in MIGRATION if kind != "Job"),  # it has run by then, and a Job's pod cannot be changed
    "Certificate",
    "Gateway",
    "PodDisruptionBudget",
    "PodMonitor",
    "PrometheusRule",
    "RayCronJob",
    "RayService",
    "VirtualService",
)
PLATFORM = ("Cluster", "LimitRange", "Milvus", "Redis", "ResourceQuota", "Role", "RoleBinding")
"""What `kubectl apply -k` or helm brings at the installation, with an administrator's rights."""


class UnknownKind(ValueError):
    """A manifest has a kind of object of which nothing here says who applies it."""


def of(manifest: str, kinds: tuple[str, ...]) -> str:
    """The objects of these kinds, as they stand there."""
    objects = [each for each in re.split(r"^---\n", manifest, flags=re.MULTILINE) if each.strip()]
    return "---\n".join(each for each in objects if _kind(each) in kinds)


def _kind(thing: str) -> str:
    found = re.search(r"^kind: (\w+)$", thing, re.MULTILINE)
    kind = found[1] if found else "nothing"
    if kind not in {*MIGRATION, *RELEASE, *PLATFORM}:
        raise UnknownKind(f"{kind}: deployments/kubernetes/parts.py does not know who applies it")
    return kind


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.kubernetes.parts", description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--of", choices=("migration", "release"), default="release")
    options = parser.parse_args(arguments)
    kinds = MIGRATION if options.of == "migration" else RELEASE
    print(of(options.manifest.read_text(), kinds), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
