"""The chart and the Kustomize overlays are the same installation, and what is generated is current."""

import copy
import re

import pytest
import yaml

from deployments.kubernetes import render, serve_config
from tests.manifests import strict
from tests.manifests.conftest import ENVIRONMENTS, Object, named, parse

COMPONENTS = {each: render.KUBERAY / "components" / each / f"{each}.yaml" for each in render.COMPONENTS}
needs_crds = pytest.mark.skipif(
    not strict.KUBERAY_CRDS.is_dir(), reason="KubeRay's schemas are not beside the checkout"
)


def test_what_is_generated_is_current(by_helm: object) -> None:
    stale = [str(path) for path, content in render.generated() if path.read_text() != content]
    assert not stale, "run `make manifests`"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_chart_and_overlay_are_the_same_objects(
    environment: str, by_helm: dict[str, list[Object]], by_kustomize: dict[str, list[Object]]
) -> None:
    helm, kustomize = named(by_helm[environment]), named(by_kustomize[environment])
    assert set(helm) == set(kustomize)
    for name, wanted in kustomize.items():
        assert helm[name] == wanted, name


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_helm_finds_nothing_to_say(environment: str, by_helm: object) -> None:
    values = str(render.CHART / f"values-{environment}.yaml")
    assert "0 chart(s) failed" in render.helm("lint", "--strict", str(render.CHART), "-f", values)


@needs_crds
def test_every_object_is_valid(objects: list[Object]) -> None:
    wrong = {f"{o['kind']} {o['metadata']['name']}": found for o in objects if (found := strict.problems(o))}
    assert not wrong


def test_stores_outside_the_cluster_are_let_through(by_helm: object) -> None:
    policies = {
        p["metadata"]["name"]: p
        for p in parse(render.rendered("network.stores={10.20.0.0/24}")["network.yaml"])
    }
    (rule,) = policies["stores"]["spec"]["egress"]
    assert {"ipBlock": {"cidr": "10.20.0.0/24"}} in rule["to"]
    assert strict.problems(policies["stores"]) == []


@needs_crds
@pytest.mark.parametrize("file", COMPONENTS.values(), ids=COMPONENTS)
def test_components_are_valid(file: object) -> None:
    for each in yaml.safe_load_all(file.read_text()):  # type: ignore[attr-defined]
        assert not strict.problems(each)


TYPOS = {
    "core": ("PodDisruptionBudget", lambda o: o["spec"].update(maxUnavailble=1)),
    "a pod's field": ("Job", lambda o: o["spec"]["template"]["spec"].update(serviceAcountName="x")),
    "ray": ("RayService", lambda o: o["spec"]["rayClusterConfig"]["headGroupSpec"].update(tempalte={})),
    "deep in ray": (
        "RayService",
        lambda o: o["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["spec"].update(
            tolerance=[]
        ),
    ),
    "a wrong type": ("RayService", lambda o: o["spec"].update(serveConfigV2=3)),
    "another operator's": ("Certificate", lambda o: o["spec"].update(dnsName=["x"])),
}


@needs_crds
@pytest.mark.parametrize("typo", TYPOS)
def test_a_typo_is_caught(typo: str, by_kustomize: dict[str, list[Object]]) -> None:
    kind, plant = TYPOS[typo]
    thing = copy.deepcopy(next(o for o in by_kustomize["production"] if o["kind"] == kind))
    assert strict.problems(thing) == []
    plant(thing)
    assert strict.problems(thing)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_serve_config_is_what_it_is_generated_from(
    environment: str, by_kustomize: dict[str, list[Object]]
) -> None:
    (service,) = (o for o in by_kustomize[environment] if o["kind"] == "RayService")
    assert yaml.safe_load(service["spec"]["serveConfigV2"]) == serve_config.of(environment)


def test_an_overlay_of_something_unknown_is_refused() -> None:
    base = {"deployments": [{"name": "Gateway", "a": 1}]}
    with pytest.raises(serve_config.NotAnOverlay, match="Gatway"):
        serve_config.merge(base, {"deployments": [{"name": "Gatway"}]})
    merged = serve_config.merge(base, {"deployments": [{"name": "Gateway", "a": None, "b": [1]}]})
    assert merged == {"deployments": [{"name": "Gateway", "b": [1]}]}


def test_patches_are_named_so() -> None:
    for environment in ENVIRONMENTS:
        folder = render.KUBERAY / "overlays" / environment
        listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["patches"]
        assert {each["path"] for each in listed} == {file.name for file in folder.glob("*patch*.yaml")}
        assert all(re.fullmatch(r"[a-z-]*patch[a-z-]*\.yaml", each["path"]) for each in listed)
