"""What triage reads of a ticket: one text, cut where a longer one changes nothing any more."""

from dataclasses import dataclass

MAX_CHARACTERS = 4000
"""Well above the 256 tokens that are embedded and the 300 words that are counted."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as it came in; either part may be empty."""

    subject: str
    body: str

    @property
    def text(self) -> str:
        return f"{self.subject.strip()}\n{self.body.strip()}".strip()[:MAX_CHARACTERS]
