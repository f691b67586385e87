"""What a loader yields: documents, and problems that name what could not be read and why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """An article as its source has it. `body` is Markdown; plain text is Markdown without marks.

    `slug` is unique within a source; `language` is the lower-case primary subtag ("en").
    """

    slug: str
    title: str
    body: str
    summary: str = ""
    url: str | None = None
    products: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    language: str = "en"
    visibility: str = "public"
    teams: tuple[str, ...] = ()

    @property
    def audiences(self) -> tuple[str, ...]:
        """Whoever has one of these may read it; the database's `audiences_of` says the same."""
        if self.visibility == "teams":
            return ("supervisors", *(f"team:{team}" for team in self.teams))
        return (self.visibility,)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was skipped: a file or one of its lines."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class SourceError(ValueError):
    """A source is missing or holds nothing to index."""
