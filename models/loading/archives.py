"""Zip archives, member by member, within bounds: on size, number, nesting and how much they unpack to."""

import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO, TypeAlias

from models.loading.documents import Document, Problem
from models.loading.encoding import Unreadable
from models.loading.limits import Limits, TooMuch

Reader: TypeAlias = Callable[[Path, str, Limits], Iterator[Document | Problem]]
SMALL = 64 << 10
"""Members smaller than this are no bomb, however well they pack."""


def check(archive: zipfile.ZipFile, limits: Limits) -> None:
    """`TooMuch` where what the archive says of itself is over a limit."""
    members = archive.infolist()
    if len(members) > limits.members:
        raise TooMuch(f"holds {len(members):,} files; {limits.members:,} are taken at most")
    if (size := sum(each.file_size for each in members)) > limits.unpacked:
        raise TooMuch(f"unpacks to {size:,} bytes; {limits.unpacked:,} are taken at most")
    for each in members:
        if each.file_size > max(SMALL, limits.ratio * each.compress_size):
            raise TooMuch(f"{each.filename} unpacks to more than {limits.ratio} times its size")


def read(
    path: Path, limits: Limits, known: Callable[[Path], str], reader: Reader
) -> Iterator[Document | Problem]:
    """What `reader` makes of the members of a kind that is `known`; each bad one is named, the rest goes on.

    A slug is the member's path without its suffix.
    """
    if limits.nesting < 1:
        raise TooMuch("is an archive in an archive in an archive")
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise Unreadable("is no zip archive") from error
    with archive, tempfile.TemporaryDirectory(prefix="es-zip-") as folder:
        check(archive, limits)
        left = limits.unpacked
        for number, member in enumerate(archive.infolist()):
            name = PurePosixPath(member.filename.replace("\\", "/"))
            kind = known(Path(name.name))
            if member.is_dir() or _hidden(name):
                continue
            where = f"{path}!{name}"
            if not kind:
                yield Problem(where, "is not of a kind that can be read")
                continue
            target = Path(folder) / str(number) / name.name
            target.parent.mkdir()
            try:
                left -= _unpack(archive, member, target, left)
                inner = replace(limits, nesting=limits.nesting - 1, unpacked=left)
                slug = "/".join(part for part in name.parts if part not in {"/", ".."})[: -len(kind)]
                yield from (_placed(each, target, where) for each in reader(target, slug, inner))
            except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError) as error:
                yield Problem(where, f"cannot be unpacked: {error}")
            finally:
                target.unlink(missing_ok=True)


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, limit: int) -> int:
    """How many bytes were written: what an archive says of itself may be a lie."""
    with archive.open(member) as source, target.open("wb") as file:
        return _copy(source, file, min(limit, member.file_size))


def _copy(source: IO[bytes], target: IO[bytes], limit: int) -> int:
    written = 0
    while block := source.read(1 << 16):
        written += len(block)
        if written > limit:
            raise TooMuch("unpacks to more than it says, or than is taken")
        target.write(block)
    return written


def _placed(found: Document | Problem, target: Path, where: str) -> Document | Problem:
    if isinstance(found, Problem):
        return Problem(found.where.replace(str(target), where), found.reason)
    return found


def _hidden(name: PurePosixPath) -> bool:
    return any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in name.parts)
