"""`make serve` where it cannot go well: one clear line, nothing started."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.local import processes
from tests.e2e.service import ROOT, Service


@pytest.fixture
def idle(tmp_path: Path) -> Service:
    """A service that is not started."""
    return Service(tmp_path)


def refusal(service: Service, **environ: str) -> str:
    service.environ |= environ
    done = service.run("-m", "deployments.local.serve", timeout_s=60)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert not processes.of_cluster(service.home)
    return lines[0]


def test_a_port_in_use(idle: Service) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", idle.port))
        taken.listen()
        assert f"port {idle.port} is in use; set ESERVICE_PORT" in refusal(idle)


def test_a_port_that_is_none(idle: Service) -> None:
    assert "must be a number from 1 to 65535" in refusal(idle, ESERVICE_PORT="eighty")


def test_an_unknown_profile(idle: Service) -> None:
    assert "there is no profile 'staging'; there are: bench, gpu, local, prod, test" in refusal(
        idle, ESERVICE_PROFILE="staging"
    )


def test_too_little_disk(tmp_path: Path) -> None:
    """A file system of 32 MiB, where this machine lets us mount one."""
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", tmp_path], check=False)
    if mount.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        assert "2 GiB are needed" in refusal(Service(tmp_path))
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_tokens_before_the_first_start(idle: Service) -> None:
    done = idle.run("-m", "deployments.local.token", "emperor")
    assert done.returncode == 2
    assert "there are: customer, agent, supervisor, admin" in done.stderr


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_indexing_nothing(idle: Service, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    done = idle.run("-m", "pipelines.index", "--source", str(tmp_path / name))
    assert done.returncode != 0
    assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_the_application_refuses_a_short_secret(idle: Service) -> None:
    code = "from config import environment as e, profile as p, safety; safety.check(p.load('test'), e.read())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=idle.environ | {"ESERVICE_SECRET_KEY": "short"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "must have at least 32 characters" in done.stderr
