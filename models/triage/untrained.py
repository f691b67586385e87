"""Triage before anything was learnt: language, priority and sentiment by rules; a person finds the queue."""

from models.triage.language import Languages
from models.triage.protocol import Triage
from models.triage.rules import Rules
from models.triage.text import Ticket


class UntrainedTriager:
    """Implements `Triager`."""

    version = "untrained"

    def __init__(self) -> None:
        self._rules = Rules.load()
        self._languages = Languages()

    async def triage(self, subject: str, body: str) -> Triage:
        text = Ticket(subject, body).text
        verdict = self._rules.judge(text)
        language = self._languages.guess(text)
        return Triage(
            intent=None,
            queue=None,
            priority=verdict.priority,
            language=language.language,
            sentiment=verdict.sentiment,
            reasons=("nothing was learnt yet: a person decides", *verdict.reasons, language.reason),
            version=self.version,
        )
