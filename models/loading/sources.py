"""A source: a file or a folder to index, under a key that stays the same when it moves."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.loading import files
from models.loading.documents import Document, Problem, SourceError


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a source; `slug` is for a file that holds a single document."""

    source: str
    path: Path
    slug: str

    def read(self) -> Iterator[Document | Problem]:
        return files.read(self.path, self.slug)


@dataclass(frozen=True, slots=True)
class Source:
    """`key` is the file's or folder's own name, without the way to it, or what stands before a `=`."""

    key: str
    path: Path

    @classmethod
    def parse(cls, argument: str) -> "Source":
        """`PATH` or `KEY=PATH`."""
        path = Path(argument)
        key, equals, rest = argument.partition("=")
        if equals and key and "/" not in key and not path.exists():
            return cls(key, _existing(Path(rest)))
        return cls(_existing(path).resolve().name, path)

    def parts(self) -> list[Part]:
        """Its files in order; hidden ones and those of other kinds are left out.

        Raises `SourceError` where nothing is left.
        """
        if self.path.is_file():
            if not files.kind(self.path):
                raise SourceError(f"{self.path}: not one of the kinds that can be read ({_kinds()})")
            return [Part(self.key, self.path, self.path.name.partition(".")[0])]
        parts = [
            Part(self.key, path, path.relative_to(self.path).with_suffix("").as_posix())
            for path in sorted(self.path.rglob("*"))
            if _is_part(path) and not _hidden(path.relative_to(self.path))
        ]
        if not parts:
            raise SourceError(f"{self.path}: no file to index in this folder ({_kinds()})")
        return parts


def parse_all(arguments: list[str]) -> list[Source]:
    """Every source, each with a key of its own; `SourceError` says which two share one."""
    sources = [Source.parse(argument) for argument in arguments]
    for i, source in enumerate(sources):
        for other in sources[:i]:
            if source.key == other.key:
                raise SourceError(
                    f"{other.path} and {source.path} share the name {source.key!r};"
                    f" name one of them: --source NAME={source.path}"
                )
    return sources


def _existing(path: Path) -> Path:
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    return path


def _is_part(path: Path) -> bool:
    kind = files.kind(path)
    return bool(kind) and kind not in files.ALONE and path.is_file()


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _kinds() -> str:
    return " ".join(files.KINDS)
