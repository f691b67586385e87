"""What each environment consists of, rendered once: by Kustomize and by helm."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
import yaml

from deployments.kubernetes import programs, render

Object: TypeAlias = dict[str, Any]
Name: TypeAlias = tuple[str, str, str]
ENVIRONMENTS = ("staging", "production")


def parse(text: str) -> list[Object]:
    return [each for each in yaml.safe_load_all(text) if each]


def named(objects: list[Object]) -> dict[Name, Object]:
    """By API group, kind and name; none may be there twice."""
    found = {(o["apiVersion"].partition("/")[0], o["kind"], o["metadata"]["name"]): o for o in objects}
    assert len(found) == len(objects), "an object is there twice"
    return found


@pytest.fixture(scope="package")
def by_kustomize() -> dict[str, list[Object]]:
    _programs()
    return {each: parse(render.kustomize(render.KUBERAY / "overlays" / each)) for each in ENVIRONMENTS}


@pytest.fixture(scope="package")
def by_helm() -> dict[str, list[Object]]:
    _programs()
    return {each: _helm(each) for each in ENVIRONMENTS}


@pytest.fixture(params=ENVIRONMENTS)
def objects(by_kustomize: dict[str, list[Object]], request: pytest.FixtureRequest) -> list[Object]:
    """All objects of one environment."""
    return by_kustomize[request.param]


def _helm(environment: str) -> list[Object]:
    values = render.CHART / f"values-{environment}.yaml"
    rendered = render.rendered(values=values, namespace=f"eservice-{environment}")
    return [each for text in rendered.values() for each in parse(text)]


def _programs() -> None:
    try:
        programs.find("helm")
        programs.find("kubectl")
    except programs.ProgramMissing as error:
        pytest.skip(str(error))


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod template with where it stands."""

    def walk(value: Any, path: str) -> Iterator[tuple[str, Object]]:
        if isinstance(value, dict):
            if "containers" in value.get("spec", {}):
                yield path, value
            for key, each in value.items():
                yield from walk(each, f"{path}/{key}")
        elif isinstance(value, list):
            for i, each in enumerate(value):
                yield from walk(each, f"{path}/{each.get('groupName', i) if isinstance(each, dict) else i}")

    for each in objects:
        yield from walk(each, f"{each['kind']}/{each['metadata']['name']}")
