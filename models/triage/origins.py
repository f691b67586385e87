"""Which tickets a model was learnt from, and the terms each has: so that it can forget them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from models.triage.words import Words

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Origins:
    """`tickets`, of shape (examples, 16), has the bytes of their ids; zeros where an example was no ticket.

    The terms of example `i` are `terms[bounds[i]:bounds[i + 1]]`; none where it was no ticket. `others`, of
    shape (terms), counts those examples instead.
    """

    tickets: NDArray[np.uint8]
    bounds: NDArray[np.int64]
    terms: NDArray[np.int32]
    others: NDArray[np.int32]

    @classmethod
    def unknown(cls, examples: int, terms: int) -> "Origins":
        """Of examples that were no tickets, or that an older version was learnt from."""
        return cls(
            np.zeros((examples, 16), dtype=np.uint8),
            np.zeros(examples + 1, dtype=np.int64),
            np.empty(0, dtype=np.int32),
            np.ones(terms, dtype=np.int32),
        )

    @classmethod
    def of(cls, tickets: Sequence[UUID | None], texts: Sequence[str], words: Words) -> "Origins":
        if not any(tickets):
            return cls.unknown(len(texts), len(words))
        rows = [words.row(text).index for text in texts]
        others = np.zeros(len(words), dtype=np.int32)
        for ticket, row in zip(tickets, rows, strict=True):
            others[row] += ticket is None
        kept = [row if ticket else row[:0] for ticket, row in zip(tickets, rows, strict=True)]
        ids = b"".join(ticket.bytes if ticket else bytes(16) for ticket in tickets)
        return cls(
            np.frombuffer(ids, dtype=np.uint8).reshape(-1, 16),
            np.cumsum([0, *map(len, kept)], dtype=np.int64),
            np.concatenate(kept),
            others,
        )

    def kept(self, gone: Collection[UUID]) -> Mask:
        """Of each example, whether it stays when these tickets go."""
        ids = {ticket.bytes for ticket in gone}
        return np.array([row.tobytes() not in ids for row in self.tickets], dtype=bool)

    def only(self, kept: Mask) -> "Origins":
        lengths = np.diff(self.bounds)
        return Origins(
            self.tickets[kept],
            np.concatenate([[0], np.cumsum(lengths[kept])]).astype(np.int64),
            self.terms[np.repeat(kept, lengths)],
            self.others,
        )

    def orphaned(self) -> Mask:
        """Of each term, whether no example has it any more."""
        counts = self.others + np.bincount(self.terms, minlength=len(self.others))
        return np.asarray(counts == 0, dtype=bool)
