"""What triage reads of a ticket: one text, cut where a longer one changes nothing any more."""

MAX_CHARACTERS = 4000
"""Well above the 256 tokens that are embedded and the 300 words that are counted."""


def ticket_text(subject: str, body: str) -> str:
    return f"{subject.strip()}\n{body.strip()}".strip()[:MAX_CHARACTERS]
