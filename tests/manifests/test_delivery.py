"""Images, workflows and their scripts: linted where the linters are, and pinned."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from config.environment import CHECKOUT
from deployments.kubernetes import parts
from deployments.kubernetes.render import KUBERAY
from tests.manifests.conftest import Object, parse, pods

WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yaml"))
DOCKERFILES = sorted((CHECKOUT / "docker").glob("*.Dockerfile"))


def lint(program: str, *arguments: str) -> None:
    found = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not there: make setup-dev")
    done = subprocess.run([found, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_pass_their_linters() -> None:
    lint("actionlint", *map(str, WORKFLOWS))
    lint("zizmor", "-q", "--offline", ".github")


def test_dockerfiles_pass_hadolint() -> None:
    lint("hadolint", *map(str, DOCKERFILES))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_actions_are_pinned_by_commit(file: Path) -> None:
    for use in re.findall(r"uses: (\S+)", file.read_text()):
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", use), use


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.stem)
def test_images_run_as_nobody_special_from_a_pinned_base(file: Path) -> None:
    text = file.read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    stages = set(re.findall(r"^FROM \S+ AS (\w+)", text, re.MULTILINE))
    assert all(base == "${PYTHON_IMAGE}" or base in stages for base in bases)
    last = text.rpartition("\nFROM ")[2]
    assert "USER 1000:1000" in last
    assert "HEALTHCHECK" in last
    assert len(stages) >= 2


def test_images_have_every_package_of_the_application() -> None:
    packages = {each.parent.name for each in CHECKOUT.glob("*/__init__.py")} - {"tests"}
    for file in DOCKERFILES[:1] + DOCKERFILES[-1:]:
        copied = set(re.findall(r"^COPY (\w+) \1$", file.read_text(), re.MULTILINE))
        assert packages <= copied, file.name
    ignored = (CHECKOUT / ".dockerignore").read_text()
    assert all(f"!{each}\n" in ignored for each in packages)


def test_the_development_stack_is_bounded_to_loopback() -> None:
    stack = yaml.safe_load((CHECKOUT / "docker" / "compose.yaml").read_text())
    wanted = {"eservice", "postgres", "redis", "milvus", "prometheus", "grafana", "jaeger", "elasticsearch"}
    assert wanted == set(stack["services"])
    for name, service in stack["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        image = service["image"]
        assert name == "eservice" or (":" in image and not image.endswith(":latest")), image
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0] if isinstance(volume, str) else volume["source"]
            if source.startswith("."):
                assert (CHECKOUT / "docker" / source).exists(), f"{name} mounts {source}"


def test_ci_and_jenkins_do_the_same() -> None:
    actions = "".join(file.read_text() for file in WORKFLOWS)
    jenkins = (CHECKOUT / "Jenkinsfile").read_text()
    commands = {
        "make check",
        "security audit",
        "make test-long",
        "deploy.sh",
        "kubernetes.smoke",
        "pipelines.gate",
    }
    commands |= {"--sbom=true", "reindex.sh", "pipelines.evaluate triage", "@$base"}
    for command in commands:
        assert command in actions, command
        assert command in jenkins, command


@pytest.mark.parametrize("script", sorted((KUBERAY / "deploy").glob("*.sh")), ids=lambda file: file.name)
def test_scripts_are_sound(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    assert "set -eu" in script.read_text()
    subprocess.run(["sh", "-n", str(script)], check=True)


def test_rendering_takes_only_images_with_a_digest(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(KUBERAY, checkout / "kuberay")
    digests = {name: f"sha256:{i}{'0' * 63}" for i, name in enumerate(("eservice", "eservice-gpu"))}
    for name, digest in digests.items():
        (tmp_path / f"{name}.image").write_text(f"ghcr.io/someone/{name}@{digest}\n")
    script = str(checkout / "kuberay" / "deploy" / "render.sh")
    rendered = run_render(script, checkout, tmp_path)
    images = set(re.findall(r"image: (\S+)", rendered.stdout))
    assert {f"ghcr.io/someone/{name}@{digest}" for name, digest in digests.items()} == images
    (tmp_path / "eservice.image").write_text("ghcr.io/someone/eservice:latest\n")
    refused = run_render(script, checkout, tmp_path, ok=False)
    assert "has no digest" in refused.stderr


def run_render(
    script: str, checkout: Path, images: Path, *, ok: bool = True
) -> subprocess.CompletedProcess[str]:
    from deployments.kubernetes import programs

    try:
        kubectl = programs.find("kubectl")
    except programs.ProgramMissing as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [script, "production", str(images)],
        cwd=checkout,
        env={"PATH": f"{kubectl.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == ok, done.stderr
    return done


KUBECTL = """\
#!/bin/sh
echo "$*" >> "$(dirname "$0")/asked"
case "$*" in
    *"get rayservice"*) echo ghcr.io/someone/eservice@sha256:1 ;;
    *"apply -f -") cat > "$(dirname "$0")/applied" ;;
    *apply*migration.yaml) cp migration.yaml "$(dirname "$0")/applied" ;;
esac
"""


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    """A folder whose `kubectl` writes down what it is asked for and what it is to apply."""
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    return tmp_path


def deploying(kubectl: Path, script: str, *arguments: str) -> tuple[list[str], list[Object]]:
    """What a script of `kuberay/deploy` asks of kubectl, and what it applies."""
    shutil.copytree(KUBERAY, kubectl / "kuberay")
    path = f"{kubectl}:{Path(sys.executable).parent}:/usr/bin:/bin"
    environ = {"PATH": path, "PYTHONPATH": str(CHECKOUT)}
    subprocess.run([f"kuberay/deploy/{script}", *arguments], cwd=kubectl, env=environ, check=True)
    return (kubectl / "asked").read_text().splitlines(), parse((kubectl / "applied").read_text())


def test_re_indexing_runs_what_the_service_runs(kubectl: Path) -> None:
    asked, (job,) = deploying(kubectl, "reindex.sh", "eservice-staging")
    assert job["metadata"]["namespace"] == "eservice-staging"
    images = {container["image"] for _, pod in pods([job]) for container in pod["spec"]["containers"]}
    assert images == {"ghcr.io/someone/eservice@sha256:1"}
    assert asked[-1].endswith("jobDeploymentStatus}=Complete")


def test_migrating_applies_the_job_and_what_its_pod_needs(
    kubectl: Path, by_kustomize: dict[str, list[Object]]
) -> None:
    manifest = kubectl / "manifest.yaml"
    manifest.write_text(yaml.safe_dump_all(by_kustomize["staging"], sort_keys=False))
    asked, applied = deploying(kubectl, "migrate.sh", "manifest.yaml", "eservice-staging")
    assert {each["kind"] for each in applied} == set(parts.MIGRATION)
    assert "delete job eservice-migrate" in asked[0]
    assert "condition=complete" in asked[-1]
