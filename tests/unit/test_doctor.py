"""What `make doctor` and `make setup` say about a machine, for machines of every kind."""

import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.local import checks, doctor

CHECKOUT = Path(__file__).parents[2]
install = doctor._installer()


@pytest.mark.parametrize(
    ("finding", "state"),
    [
        (checks.python((3, 11)), "ok"),
        (checks.python((3, 12)), "problem"),
        (checks.locks(exists=False, in_step=False), "problem"),
        (checks.locks(exists=True, in_step=False), "problem"),
        (checks.locks(exists=True, in_step=True), "ok"),
        (checks.forbidden([]), "ok"),
        (checks.forbidden(["torchvision"]), "problem"),
        (checks.disk(Path("/home"), 40), "ok"),
        (checks.disk(Path("/home"), 1), "problem"),
        (checks.memory(24, 20), "ok"),
        (checks.memory(24, 4), "note"),
        (checks.memory(8, 8), "problem"),
        (checks.shared_memory(64), "problem"),
        (checks.shared_memory(2048), "ok"),
        (checks.cores(1), "note"),
        (checks.cores(8), "ok"),
        (checks.gpu(None), "note"),
        (checks.gpu("GPU 0: NVIDIA L4"), "ok"),
        (checks.model("m", made=True), "ok"),
        (checks.model("m", made=False), "note"),
        (checks.store("valkey", "running", 1), "ok"),
        (checks.store("valkey", "stopped", None), "ok"),
        (checks.store("valkey", "hung", 1), "problem"),
        (checks.store("valkey", "dead", 1), "problem"),
        (checks.service(8000, port_is_free=True, pid=None, readiness=None), "ok"),
        (checks.service(8000, port_is_free=False, pid=None, readiness=None), "problem"),
        (checks.service(8000, port_is_free=False, pid="1", readiness="ok"), "ok"),
        (checks.service(8000, port_is_free=False, pid="1", readiness="degraded"), "note"),
        (checks.service(8000, port_is_free=False, pid="1", readiness=None), "note"),
    ],
)
def test_what_is_found_is_judged(finding: checks.Finding, state: str) -> None:
    assert finding.state == state
    assert finding.found
    assert bool(finding.advice) == (state == "problem"), "a problem says what to do, and nothing else does"
    assert "\n" not in finding.advice


def test_a_binary_that_is_missing_locked_or_broken(tmp_path: Path) -> None:
    assert checks.binary("X", None).advice == "make setup"
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho version 1\n")
    assert checks.binary("X", program).advice == f"chmod +x {program}"
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert checks.binary("X", program) == checks.Finding("X", "ok", "version 1")
    program.write_text("#!/bin/sh\necho no library >&2; exit 127\n")
    assert checks.binary("X", program).found == "no library"


def test_a_named_store_is_called() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        found = checks.external("postgres", "DATABASE_URL", f"postgresql://me:secret@127.0.0.1:{port}/db")
        assert found.state == "ok"
    found = checks.external("postgres", "DATABASE_URL", f"postgresql://me:secret@127.0.0.1:{port}/db")
    assert found.state == "problem"
    assert "DATABASE_URL" in found.advice
    assert "secret" not in found.found


def test_memory_is_the_containers_where_that_is_less(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 32000000 kB\nMemAvailable: 30000000 kB\n")
    assert checks.memory_gb(tmp_path, tmp_path) == pytest.approx((32.768, 30.72))
    (tmp_path / "memory.max").write_text("8000000000\n")
    (tmp_path / "memory.current").write_text("3000000000\n")
    assert checks.memory_gb(tmp_path, tmp_path) == pytest.approx((8.0, 5.0))
    (tmp_path / "memory.max").write_text("max\n")
    assert checks.memory_gb(tmp_path, tmp_path) == pytest.approx((32.768, 30.72))


def test_the_whole_of_it_on_this_machine(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "deployments.local.doctor", "--json", report],
        cwd=CHECKOUT,
        env={**os.environ, "ESERVICE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    said = json.loads(report.read_text())
    assert done.returncode == (1 if said["problems"] else 0), done.stderr
    names = {check["name"] for check in said["checks"]}
    assert {"Python", "environment", "disk", "PostgreSQL", "Valkey", "HAProxy", "milvus", "service"} <= names
    assert not (tmp_path / "home").exists(), "it changes nothing"


def test_without_an_environment_the_machine_is_still_judged(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", BARE, str(CHECKOUT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Python" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr


BARE = """
import sys
sys.path.insert(0, sys.argv.pop())
from deployments.local import doctor
sys.exit(doctor.main())
"""


def test_an_unknown_profile_and_a_bad_port_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESERVICE_PROFILE", "nowhere")
    (finding,) = doctor.application()
    assert (finding.state, "no profile 'nowhere'" in finding.found) == ("problem", True)
    monkeypatch.setenv("ESERVICE_PORT", "many")
    (finding,) = doctor.application()
    assert "ESERVICE_PORT" in finding.found


def test_a_lock_file_is_read_entry_by_entry(tmp_path: Path) -> None:
    lock = tmp_path / "cpu.lock"
    lock.write_text(
        "# made by\na==1 \\\n  --hash=sha256:aa \\\n  --hash=sha256:bb\n  # via c\nb==2 --hash=sha256:cc\n"
    )
    assert [entry.split() for entry in install.requirements(lock)] == [
        ["a==1", "--hash=sha256:aa", "--hash=sha256:bb"],
        ["b==2", "--hash=sha256:cc"],
    ]


def test_the_lock_files_are_hashed_throughout_and_leave_out_what_must_not_be_there() -> None:
    for lock in install.lock_files(gpu=False, dev=True):
        entries = install.requirements(lock)
        assert entries
        assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
        assert not [entry for entry in entries if entry.startswith(("torch==", *install.FORBIDDEN))]


def test_an_environment_is_in_step_when_all_that_is_wanted_is_in_it(tmp_path: Path) -> None:
    assert not install.is_in_step(tmp_path, {"cpu.lock": "1"})
    install._write_stamp(tmp_path, {"cpu.lock": "1", "dev.lock": "2"})
    assert install.is_in_step(tmp_path, {"cpu.lock": "1"})
    assert not install.is_in_step(tmp_path, {"cpu.lock": "changed"})
    assert not install.is_in_step(tmp_path, {"cpu.lock": "1", "weights.lock": "3"})


def test_a_missing_lock_file_stops_set_up(tmp_path: Path) -> None:
    with pytest.raises(install.Stop, match=r"nothing\.lock is not in this checkout"):
        install.fingerprints([tmp_path / "nothing.lock"])


def test_fingerprints_follow_the_files(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    lock.write_text("a==1\n")
    assert install.fingerprints([lock])["a.lock"] == hashlib.sha256(b"a==1\n").hexdigest()


def test_set_up_stops_for_another_python_and_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(install.Stop, match=r"needs Python 3\.11"):
        install._check_python((3, 13))
    with pytest.raises(install.Stop, match="GB free"):
        install._check_disk(tmp_path / ".venv", 10**9)


def test_what_pip_left_half_installed_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "whole-1.dist-info").mkdir()
    (tmp_path / "whole-1.dist-info" / "INSTALLER").write_text("pip")
    (tmp_path / "half-1.dist-info").mkdir()
    install._forget_half_installed(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["whole-1.dist-info"]


def test_without_a_cpu_torch_set_up_says_where_to_get_one(tmp_path: Path) -> None:
    job = install.Job(tmp_path, "torch", [])
    job.log.write_text("ERROR: No matching distribution found for torch==2.13.0+cpu\n")
    assert "TORCH_INDEX_URL" in str(job.problem())
    other = install.Job(tmp_path, "part-0", [])
    other.log.write_text("noise\nERROR: hashes do not match\n")
    assert "hashes do not match" in str(other.problem())
