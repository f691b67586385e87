"""Checks a chain from its first entry to its last, and says where it is broken.

It sees what was changed, taken out, put in or moved. Whoever can write to every table and computes the rest
of the chain anew leaves one that fits itself: that only shows against an anchor, a head kept elsewhere.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.audit.chain import Entry, Head, Link, seal

MOST = 50
"""Broken places that are told; who finds more has other worries."""


@dataclass(frozen=True, slots=True)
class Break:
    """One place that is wrong. `position` is null for what never got one."""

    position: int | None
    what: str


@dataclass(frozen=True, slots=True)
class _Misfit:
    """An entry whose hash is not its own behind `previous`."""

    link: Link
    previous: bytes


@dataclass(slots=True)
class Verification:
    """Feed it the chain in its order with `check`, then `finish`."""

    start: Head
    end: Head
    anchors: Mapping[int, bytes] = field(default_factory=dict)
    checked: int = 0
    breaks: list[Break] = field(default_factory=list)
    _last: int = field(init=False)
    _hash: bytes | None = field(init=False)
    """Of the entry before; `None` where that is missing, so that the next cannot be checked against it."""
    _misfits: list[_Misfit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._last, self._hash = self.start.position, self.start.hash

    @property
    def first(self) -> Break | None:
        """The first broken entry."""
        return min(self.breaks, key=lambda each: each.position or float("inf"), default=None)

    def check(self, link: Link) -> None:
        self.checked += 1
        if link.position <= self._last:
            self._broken(link.position, f"{described(link.entry)}: a second entry claims this place")
            return
        if link.position > self._last + 1:
            self._broken(self._last + 1, f"missing: {_range(self._last + 1, link.position - 1)}")
            self._hash = None
        if (
            self._hash is not None
            and seal(self._hash, link.position, link.sealed_at, link.entry) != link.hash
        ):
            self._misfits.append(_Misfit(link, self._hash))
        expected = self.anchors.get(link.position)
        if expected is not None and expected != link.hash:
            self._broken(
                link.position, "is not what an anchor says was here: the chain was written anew before it"
            )
        self._last, self._hash = link.position, link.hash

    def finish(self) -> None:
        """Once the whole chain was fed."""
        self._explain()
        if self._last < self.end.position:
            self._broken(self._last + 1, f"missing at the end: {_range(self._last + 1, self.end.position)}")
        elif self._last > self.end.position:
            self._broken(self.end.position + 1, "was put behind the end of the chain, not sealed")
        elif self._hash is not None and self._hash != self.end.hash:
            self._broken(self._last, "is not the end that the sealer wrote down")
        for position in self.anchors:
            if position > max(self._last, self.end.position):
                self._broken(self._last + 1, f"missing: the chain once reached {position}, an anchor says")
        if self.start.position in self.anchors and self.anchors[self.start.position] != self.start.hash:
            self._broken(self.start.position, "is not what an anchor says stood before the first entry")

    def _explain(self) -> None:
        """Say of entries that do not fit whether two changed places, else that they were changed."""
        left = list(self._misfits[:MOST])
        while left:
            one = left.pop(0)
            other = next((each for each in left if _exchanged(one, each)), None)
            if other is None:
                self._broken(
                    one.link.position, f"{described(one.link.entry)}: does not fit its hash, it was changed"
                )
                continue
            places = f"{one.link.position} and {other.link.position}"
            self._broken(one.link.position, f"{described(one.link.entry)}: entries {places} were swapped")
            self._broken(other.link.position, f"{described(other.link.entry)}: entries {places} were swapped")
            followers = {one.link.position + 1, other.link.position + 1}
            left = [each for each in left if each is not other and each.link.position not in followers]

    def _broken(self, position: int | None, what: str) -> None:
        if len(self.breaks) < MOST:
            self.breaks.append(Break(position, what))


async def verify(
    links: AsyncIterator[Link], start: Head, end: Head, anchors: Mapping[int, bytes]
) -> Verification:
    """Check all of `links`."""
    found = Verification(start, end, anchors)
    async for link in links:
        found.check(link)
    found.finish()
    return found


def described(entry: Entry) -> str:
    """What a person recognises it by; nothing of what was written."""
    return (
        f"{entry.occurred_at:%Y-%m-%d %H:%M:%S} {entry.actor} {entry.action} {entry.object} {entry.object_id}"
    )


def _exchanged(one: _Misfit, other: _Misfit) -> bool:
    """Whether what lies at the later place is what was sealed at the earlier one."""
    moments: set[datetime] = {one.link.sealed_at, other.link.sealed_at}
    hashes = {one.link.hash, other.link.hash}
    place, entry = one.link.position, other.link.entry
    return any(seal(one.previous, place, moment, entry) in hashes for moment in moments)


def _range(first: int, last: int) -> str:
    return f"entry {first}" if first == last else f"entries {first} to {last}"
