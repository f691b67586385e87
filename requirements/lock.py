"""Resolves requirements/*.in into lock files with hashes (`make lock`), by a pip-tools of its own.

torch, torchvision, torchaudio, torchcodec and triton stay out of the locks: torch is installed by
install.py from where its CPU build is found, the others are never installed.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).parent
UNLOCKED = ("torch", "torchvision", "torchaudio", "torchcodec", "triton", "pip")
QUIET = ("--no-emit-find-links", "--no-emit-index-url", "--no-emit-trusted-host", "--strip-extras", "-q")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        binaries = Path(folder) / "bin"
        subprocess.run([binaries / "pip", "install", "-q", "pip-tools"], check=True)
        for name in sys.argv[1:] or ("cpu", "gpu", "dev"):
            unsafe = [f"--unsafe-package={package}" for package in UNLOCKED]
            command = [binaries / "pip-compile", "--generate-hashes", *QUIET, *unsafe]
            subprocess.run([*command, "-o", f"{name}.lock", f"{name}.in"], cwd=HERE, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
