"""Which language a text is in, by py3langid (a naive Bayes over byte n-grams; 0.1 ms a text).

Below about 20 letters its probabilities are low and its guesses are wild ("help" comes out Norwegian):
then the desk's own language is assumed, with the small probability it really has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from models.triage.protocol import Label

LANGUAGES = (
    *("ar", "cs", "da", "de", "el", "en", "es", "fi", "fr", "he", "hu", "it"),
    *("ja", "ko", "nl", "no", "pl", "pt", "ro", "ru", "sv", "tr", "uk", "zh"),
)
SURE = 0.7
"""Probability from which a guess is believed: all 64 sample tickets pass, single words do not."""


@dataclass(frozen=True, slots=True)
class Guess:
    language: Label
    reason: str


class Languages:
    """Guesses among `languages` only: the fewer there are, the better short texts come out."""

    def __init__(self, languages: Sequence[str] = LANGUAGES, default: str = "en") -> None:
        self._default = default
        self._identifier = _identifier(tuple(languages))

    def guess(self, text: str) -> Guess:
        ranking = {name: float(probability) for name, probability in self._identifier.rank(text)}
        best = max(ranking, key=ranking.__getitem__)
        if ranking[best] >= SURE:
            return Guess(Label(best, ranking[best]), f"language {best} ({ranking[best]:.2f})")
        assumed = Label(self._default, ranking.get(self._default, 0.0))
        return Guess(assumed, f"too little text to be sure of its language; {self._default} is assumed")


@cache
def _identifier(languages: tuple[str, ...]) -> LanguageIdentifier:
    """Unpacking its file takes 0.5 s; the next version of triage asks the same one, which nothing changes."""
    found = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found.set_languages(list(languages))
    return found
