"""`python -m models.preparation [all|embedder|llm]`: make the local models, unless they are made."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from models.preparation import onnx, smollm2
from models.preparation.once import Report

CHECKOUT = Path(__file__).parents[2]

MODELS: dict[str, Callable[[Path, Report], bool]] = {"embedder": onnx.prepare, "llm": smollm2.prepare}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m models.preparation", description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=["all", *MODELS])
    what = parser.parse_args().what
    folder = Path(os.environ.get("ESERVICE_MODELS") or CHECKOUT / ".eservice" / "models").absolute()
    _hush()
    try:
        made = [MODELS[name](folder, _say) for name in (MODELS if what == "all" else [what])]
    except OSError as error:
        print(f"the models cannot be prepared in {folder}: {error}", file=sys.stderr)
        return 1
    if not any(made):
        _say(f"nothing to do: the models in {folder} are up to date")
    return 0


def _hush() -> None:
    """No downloads, and none of the libraries' own bars and notes between our lines."""
    os.environ.update(
        HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TQDM_DISABLE="1", HF_HUB_DISABLE_PROGRESS_BARS="1"
    )
    warnings.filterwarnings("ignore")
    logging.getLogger().setLevel(logging.ERROR)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
