"""The unprivileged account PostgreSQL runs as when we are root, and folders that account can reach."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

NAME = "nobody"
SYSTEM_STATE = Path("/var/lib/eservice")
"""Where the data lies when the account cannot reach the home, as below /root. Not /var/tmp, which is cleaned
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


def reaches(account: tuple[int, int], path: Path) -> bool:
    """Whether `account` gets through every folder above `path` and into it. Asks the kernel."""
    ask = ["/bin/sh", "-c", 'test -x "$0"', str(path)]
    user, group = account
    done = subprocess.run(
        ask, cwd="/", user=user, group=group, extra_groups=[], timeout=5, check=False
    )
    return done.returncode == 0


def reachable_folder(wanted: Path, home_id: str, account: tuple[int, int]) -> Path:
    """`wanted` if `account` reaches it, else a folder below `SYSTEM_STATE`, linked from `wanted`."""
    if wanted.is_symlink():
        wanted.resolve().mkdir(parents=True, exist_ok=True)
        return wanted.resolve()
    if not wanted.exists():
        wanted.mkdir()
        wanted.chmod(0o755)  # the data inside is a folder that only the account can enter
    if reaches(account, wanted):
        return wanted
    if any(wanted.iterdir()):
        raise NoAccount(f"the user {NAME!r} can no longer enter {wanted}: allow it to pass the folders above")
    elsewhere = SYSTEM_STATE / home_id
    elsewhere.mkdir(parents=True, exist_ok=True)
    for folder in (SYSTEM_STATE, elsewhere):
        folder.chmod(0o755)
    wanted.rmdir()
    wanted.symlink_to(elsewhere)
    return elsewhere


def reachable_program(program: Path, folder: Path, account: tuple[int, int]) -> Path:
    """`program`, or, where `account` cannot reach it, a copy below `folder` (41 MB, a tenth of a second)."""
    if reaches(account, program):
        return program
    copy = folder / f"program-{int((program / 'bin' / 'postgres').stat().st_mtime)}"
    if not copy.exists():
        draft = folder / f".program.{os.getpid()}"
        shutil.copytree(program, draft, symlinks=True)
        draft.chmod(0o755)
        draft.rename(copy)
    return copy
