"""Counting the tokens a model will see, without loading the model."""

from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer

CHARACTERS_PER_TOKEN = 3.5
"""English help articles have 4.2 characters a token (SmolLM2's tokenizer); other languages fewer."""


class TokenCounter(Protocol):
    def count(self, text: str) -> int: ...


class TokenizerCounter:
    """Counts with the model's own `tokenizer.json`."""

    def __init__(self, file: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(file))

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)


class EstimatedCounter:
    """For models whose tokenizer is not at hand: rather too many than too few."""

    def __init__(self, characters_per_token: float = CHARACTERS_PER_TOKEN) -> None:
        self._characters_per_token = characters_per_token

    def count(self, text: str) -> int:
        return int(len(text) / self._characters_per_token) + 1


def counter_for(model_folder: Path | None) -> TokenCounter:
    file = model_folder / "tokenizer.json" if model_folder else None
    return TokenizerCounter(file) if file and file.is_file() else EstimatedCounter()
