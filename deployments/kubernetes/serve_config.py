"""serveConfigV2 of each environment: `serve_config.yaml` with an environment's differences merged over it.

Mappings are merged, and so are lists whose items have a `name`, by that name; anything else is replaced, and
`null` takes a key away. What is written is plain YAML, for the chart and for the Kustomize patches.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ray.serve.schema import ServeDeploySchema

from config.environment import CHECKOUT

ENVIRONMENTS = ("base", "staging", "production")
SOURCE = CHECKOUT / "serve_config.yaml"
KUBERAY = CHECKOUT / "kuberay"
PATCH = """\
apiVersion: ray.io/v1
kind: RayService
metadata: {name: eservice, namespace: eservice}
spec:
  serveConfigV2: |
"""


class NotAnOverlay(ValueError):
    """An overlay names a deployment that the application does not have."""


def of(environment: str) -> dict[str, Any]:
    """The whole configuration of an environment, checked by Serve's own schema."""
    overlays = [KUBERAY / "base"] + ([] if environment == "base" else [KUBERAY / "overlays" / environment])
    return overlaid(*(folder / "serve.yaml" for folder in overlays))


def overlaid(*overlays: Path) -> dict[str, Any]:
    """`serve_config.yaml` with these files merged over it, in order."""
    config = yaml.safe_load(SOURCE.read_text())
    for file in overlays:
        config = merge(config, yaml.safe_load(file.read_text()), at=file.parent.name)
    ServeDeploySchema.model_validate(config)
    return dict(config)


def text(environment: str) -> str:
    header = f"# Made by `make manifests` from serve_config.yaml and the overlay of {environment}.\n"
    return header + yaml.safe_dump(of(environment), sort_keys=False, width=120)


def patch(environment: str) -> str:
    """A Kustomize patch that puts an environment's configuration into the RayService."""
    block = "".join(f"    {line}\n" for line in text(environment).splitlines())
    return PATCH + block


def merge(base: Any, over: Any, at: str = "") -> Any:
    """`over` merged over `base`; raises `NotAnOverlay` for a name that `base` does not know."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        merged = dict(base) | {key: merge(base.get(key), each, f"{at}.{key}") for key, each in over.items()}
        return {key: each for key, each in merged.items() if each is not None}
    if _is_named(base) and _is_named(over):
        return _merge_named(base, over, at)
    return over


def _is_named(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(x, Mapping) and "name" in x for x in value)
    )


def _merge_named(base: Sequence[Mapping[str, Any]], over: Sequence[Mapping[str, Any]], at: str) -> list[Any]:
    changes = {each["name"]: each for each in over}
    if unknown := set(changes) - {each["name"] for each in base}:
        raise NotAnOverlay(f"{at}: there is no {', '.join(sorted(unknown))} to change")
    return [merge(each, changes.get(each["name"], {}), f"{at}.{each['name']}") for each in base]
