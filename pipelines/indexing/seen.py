"""Which documents of which sources came by in a run."""

from dataclasses import dataclass, field

from app.knowledge.planning import Result, Skipped
from models.loading.documents import Problem
from pipelines.indexing.summary import Summary


@dataclass(slots=True)
class Seen:
    """Which documents came by; `incomplete` are sources of which something could not be read."""

    documents: set[tuple[str, str]] = field(default_factory=set)
    incomplete: set[str] = field(default_factory=set)

    def note(self, result: Result, summary: Summary) -> bool:
        """Whether this is to be written; a slug that comes again is a problem."""
        if isinstance(result, Skipped):
            self.incomplete.add(result.source)
            return True
        key = result.key
        if key in self.documents:
            summary.note(
                Skipped(key[0], Problem(f"{key[0]}: {key[1]}", "the same slug comes twice; the first counts"))
            )
            return False
        self.documents.add(key)
        return True
