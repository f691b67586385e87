"""Triage before anything was learnt: language, priority and sentiment by rules; a person finds the queue."""

import numpy as np

from models.triage.judge import untaught
from models.triage.language import Languages
from models.triage.protocol import PRIORITIES, SENTIMENTS, Triage
from models.triage.rules import Rules
from models.triage.text import Ticket

PRIORITY, SENTIMENT = untaught(PRIORITIES), untaught(SENTIMENTS)
NOTHING = np.empty(0, dtype=np.float32)


class UntrainedTriager:
    """Implements `Triager`."""

    version = "untrained"

    def __init__(self) -> None:
        self._rules = Rules.load()
        self._languages = Languages()

    async def triage(self, subject: str, body: str) -> Triage:
        text = Ticket(subject, body).text
        verdict = self._rules.judge(text)
        priority, sentiment = PRIORITY(verdict.priority, NOTHING), SENTIMENT(verdict.sentiment, NOTHING)
        language = self._languages.guess(text)
        return Triage(
            intent=None,
            queue=None,
            priority=verdict.priority,
            language=language.language,
            sentiment=verdict.sentiment,
            reasons=("nothing was learnt yet: a person decides", *verdict.reasons, language.reason),
            version=self.version,
            priority_probability=priority.probability,
            sentiment_probability=sentiment.probability,
        )
