"""Makes `.venv` from the lock files: exact versions, checked hashes, no resolving. Standard library only.

torch is the CPU build, from wherever pip is configured to look or from TORCH_INDEX_URL. What was interrupted
goes on where it stopped; what is in step with the lock files is left alone.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CHECKOUT = FOLDER.parent
PYTHON = (3, 11)
TORCH = "torch==2.13.0+cpu"
FORBIDDEN = ("torchvision", "torchaudio", "torchcodec")
"""vLLM asks for them, nothing here needs them, and beside the CPU torch the first does not even import."""

NEEDED_GB = {"cpu": 6, "gpu": 20}
"""The environment (3.6 and about 12 GB) and what pip keeps while it works."""

SELDOM = (
    r"/(tests?|testing|_tests|benchmarks)/|/ray/(rllib|tune|train)/|/pip/|/pygments/lexers/|/sympy/physics/"
    r"|/transformers/models/(?!auto/|bert/|llama/|__init__)|/vllm/model_executor/models/[a-km-z]"
)
"""What is left to be compiled when it is first imported, if ever: half of the 390 MB of source. The rest is
compiled here: importing vLLM and Ray takes 31 s of a core without, 13 s with, and several processes do it."""

NO_TORCH = f"""\
{TORCH} was not found where pip is configured to look, and a CUDA build is never taken instead.
Do one of these and run it again:
  TORCH_INDEX_URL=ADDRESS make setup          (the CPU index that pytorch.org's install page shows)
  pip config set global.find-links FOLDER     (a folder that holds the wheel)\
"""

NO_VENV = "this Python cannot make environments; on Debian and Ubuntu: apt-get install python3.11-venv"


class Stop(Exception):
    """Set-up cannot go on; the message says what to do."""


def main() -> int:
    arguments = _arguments()
    venv: Path = arguments.venv.absolute()
    locks = lock_files(gpu=arguments.gpu, dev=arguments.dev)
    try:
        wanted = fingerprints(locks)
        if is_in_step(venv, wanted):
            return 0
        _check_python(sys.version_info[:2])
        _check_disk(venv, NEEDED_GB["gpu" if arguments.gpu else "cpu"])
        _install(venv, locks, wanted)
    except Stop as reason:
        print(f"\nset-up stopped: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up interrupted; run it again and it goes on from here", file=sys.stderr)
        return 130
    return 0


def lock_files(*, gpu: bool, dev: bool) -> list[Path]:
    names = ["gpu.lock" if gpu else "cpu.lock", "weights.lock", *(["dev.lock", "tools.lock"] if dev else [])]
    return [FOLDER / name for name in names]


def fingerprints(locks: Sequence[Path]) -> dict[str, str]:
    if missing := [lock.name for lock in locks if not lock.exists()]:
        raise Stop(f"requirements/{missing[0]} is not in this checkout")
    return {lock.name: hashlib.sha256(lock.read_bytes()).hexdigest() for lock in locks} | {"torch": TORCH}


def is_in_step(venv: Path, wanted: Mapping[str, str]) -> bool:
    """Whether all of `wanted` is installed; what was installed beyond it does no harm."""
    try:
        stamp = json.loads((venv / ".installed").read_text())
    except (FileNotFoundError, ValueError):
        return False
    return all(stamp.get(name) == value for name, value in wanted.items())


def requirements(lock: Path) -> list[str]:
    """One entry a package, with its hashes, as pip takes them."""
    lines = re.sub(r"\\\n", " ", lock.read_text()).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith(("#", "-"))]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    parser.add_argument("--gpu", action="store_true", help="for a machine with NVIDIA GPUs (gpu.lock)")
    parser.add_argument("--venv", type=Path, default=CHECKOUT / ".venv", help="where to make it")
    return parser.parse_args()


def _check_python(version: tuple[int, ...]) -> None:
    if version != PYTHON:
        found = ".".join(map(str, version))
        raise Stop(
            f"this needs Python 3.11, and {sys.executable} is {found}; name one: make PYTHON=/path/python3.11"
        )


def _check_disk(venv: Path, needed_gb: int) -> None:
    """Half is enough where an earlier run got far."""
    needed = needed_gb / 2 if (venv / "bin" / "python").exists() else needed_gb
    free = shutil.disk_usage(venv.parent).free / 1e9
    if free < needed:
        raise Stop(f"{venv.parent} has {free:.1f} GB free, and set-up needs {needed:.1f} GB; make room")


def _install(venv: Path, locks: Sequence[Path], wanted: Mapping[str, str]) -> None:
    begun = time.monotonic()
    venv.mkdir(parents=True, exist_ok=True)
    with _alone(venv / ".installing"):
        if is_in_step(venv, wanted):
            return
        (venv / ".installed").unlink(missing_ok=True)
        _make_environment(venv)
        _forget_half_installed(_site(venv))
        _run_pip(venv, *_jobs(venv, locks))
        _check_forbidden(_site(venv))
        _compile(venv)
        _write_stamp(venv, wanted)
    print(f"environment ready in {time.monotonic() - begun:.0f} s", flush=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One set-up at a time; the lock ends with its process."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another set-up is at work here; waiting for it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_environment(venv: Path) -> None:
    if (venv / "bin" / "pip").exists():
        return
    print(f"making {venv}", flush=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise Stop(f"{NO_VENV}\n{(made.stderr or made.stdout).strip()}")


def _site(venv: Path) -> Path:
    return venv / "lib" / f"python{PYTHON[0]}.{PYTHON[1]}" / "site-packages"


def _forget_half_installed(site: Path) -> None:
    """pip takes a package for installed once its folder of metadata is there; it writes INSTALLER last."""
    for metadata in site.glob("*.dist-info"):
        if not (metadata / "INSTALLER").exists():
            shutil.rmtree(metadata)


class Job:
    """One pip process and what it was given."""

    def __init__(self, venv: Path, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self.log = venv / f"install.{name}.log"
        self._command = [
            *(str(venv / "bin" / "python"), "-m", "pip", "install", "--no-deps", "--no-compile"),
            *("--no-input", "--disable-pip-version-check", "--progress-bar", "off", *arguments),
        ]

    def start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("wb") as log:
            return subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def problem(self) -> Stop:
        said = self.log.read_text(errors="replace")
        if self.name == "torch" and "No matching distribution" in said:
            return Stop(NO_TORCH)
        errors = [line for line in said.splitlines() if line.startswith("ERROR")] or said.splitlines()[-5:]
        return Stop("pip failed:\n  " + "\n  ".join(errors[:8]) + f"\nall it said: {self.log}")


def _jobs(venv: Path, locks: Sequence[Path]) -> tuple[list[Job], int]:
    """torch, and the locked packages in two parts, for pip uses one core; and how many packages that is."""
    entries = list({entry.split("==")[0]: entry for lock in locks for entry in requirements(lock)}.values())
    jobs = []
    if not any(entry.startswith("torch==") for entry in entries):
        index = os.environ.get("TORCH_INDEX_URL")
        jobs.append(Job(venv, "torch", [TORCH, *(["--index-url", index] if index else [])]))
    for number in range(2):
        part = venv / f".part-{number}.txt"
        part.write_text("\n".join(entries[number::2]) + "\n")
        jobs.append(Job(venv, f"part-{number}", ["--require-hashes", "-r", str(part)]))
    return jobs, len(entries) + len(jobs) - 2


def _run_pip(venv: Path, jobs: Sequence[Job], total: int) -> None:
    running = [(job, job.start()) for job in jobs]
    progress = Progress()
    try:
        while any(process.poll() is None for _, process in running):
            if failed := [job for job, process in running if process.poll()]:
                raise failed[0].problem()
            progress.show(f"installing {total} packages: {_state(_site(venv), jobs, total)}")
            time.sleep(0.5)
    finally:
        for _, process in running:
            if process.poll() is None:
                process.terminate()
            process.wait()
        progress.end()
        (venv / "install.log").write_bytes(b"".join(job.log.read_bytes() for job in jobs))
    if failed := [job for job, process in running if process.returncode]:
        raise failed[0].problem()


def _state(site: Path, jobs: Sequence[Job], total: int) -> str:
    """pip installs nothing before it has fetched everything, so both are counted."""
    said = b"".join(job.log.read_bytes() for job in jobs)
    fetched = len(re.findall(rb"^(?:Collecting|Processing|Requirement already)", said, re.MULTILINE))
    installed = sum(1 for _ in site.glob("*.dist-info/INSTALLER"))
    return f"{min(fetched, total)} fetched, {min(installed, total)} installed"


def _compile(venv: Path) -> None:
    """On all cores; what is compiled already is skipped."""
    print("compiling what is imported often", flush=True)
    command = [
        str(venv / "bin" / "python"),
        "-m",
        "compileall",
        "-q",
        "-j",
        "0",
        "-x",
        SELDOM,
        str(_site(venv)),
    ]
    with (venv / "install.log").open("ab") as log:
        subprocess.run(
            command, stdout=log, stderr=log, check=False
        )  # templates among the files do not compile


class Progress:
    """One line that changes on a terminal, one line in fifteen seconds elsewhere."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._shown = -1e9
        self._terminal = sys.stdout.isatty()

    def show(self, what: str) -> None:
        now = time.monotonic()
        if now - self._shown < (0.5 if self._terminal else 15):
            return
        self._shown = now
        line = f"{what}, {now - self._begun:.0f} s"
        print(f"\r\033[K{line}" if self._terminal else line, end="" if self._terminal else "\n", flush=True)

    def end(self) -> None:
        if self._terminal:
            print(flush=True)


def _check_forbidden(site: Path) -> None:
    if found := [name for name in FORBIDDEN if (site / name).exists()]:
        raise Stop(f"{', '.join(found)} must not be in {site}; remove the environment and run this again")


def _write_stamp(venv: Path, wanted: Mapping[str, str]) -> None:
    draft = venv / ".installed.new"
    draft.write_text(json.dumps(wanted, indent=1))
    draft.replace(venv / ".installed")


if __name__ == "__main__":
    sys.exit(main())
