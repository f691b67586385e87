"""Trained artefacts under one URL: a folder, or whatever fsspec speaks (`s3://bucket/eservice`, `gs://…`).

An artefact is a folder of files under a name that is never used again; it changes only where it has to forget
somebody. Replicas share no disk: what does not lie on this machine is copied here once.
"""

import tempfile
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem


class ArtefactMissing(FileNotFoundError):
    """There is no artefact of this name under the artefacts' URL."""


class Artefacts:
    """Blocking: call it from a thread."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._files, self._root = fsspec.core.url_to_fs(url)

    def put(self, name: str, folder: Path) -> None:
        """Copy the files of `folder` to `name`; raises `FileExistsError` where that is taken."""
        target = self._place(name)
        if self._files.exists(target):
            raise FileExistsError(f"{target} exists already")
        self._files.makedirs(target)
        for file in sorted(folder.iterdir()):
            self._files.put_file(str(file), f"{target}/{file.name}")

    def replace(self, name: str, folder: Path) -> None:
        """Put these files in place of the artefact's; who reads one meanwhile reads the old or the new."""
        target = self._place(name)
        for file in sorted(folder.iterdir()):
            self._files.put_file(str(file), f"{target}/{file.name}.new")
            self._files.mv(f"{target}/{file.name}.new", f"{target}/{file.name}")

    def remove(self, name: str) -> None:
        self._files.rm(self._place(name), recursive=True)

    def names(self, folder: str) -> list[str]:
        """Artefacts right below `folder`, also those that no row knows of."""
        place = self._place(folder)
        if not self._files.exists(place):
            return []
        found = self._files.ls(place, detail=True)
        return sorted(f"{folder}/{Path(each['name']).name}" for each in found if each["type"] == "directory")

    def exists(self, name: str) -> bool:
        return bool(self._files.exists(self._place(name)))

    def fetch(self, name: str) -> Path:
        """A folder on this machine with the artefact's files."""
        place = self._place(name)
        if isinstance(self._files, LocalFileSystem) and Path(place).is_dir():
            return Path(place)
        if not self._files.exists(place):
            raise ArtefactMissing(f"there is no artefact {name} under {self.url}")
        folder = Path(tempfile.mkdtemp(prefix="artefact-"))
        for file in self._files.ls(place, detail=False):
            self._files.get_file(file, str(folder / Path(file).name))
        return folder

    def _place(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"
