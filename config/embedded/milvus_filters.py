"""Filters of Milvus Lite, evaluated once for each segment instead of at every search.

Milvus Lite 3.2.2 has no kernel for arrays: to look at one field it makes Python objects of every row, vectors
and all, in each search anew: 90 ms of a search over 3,000 chunks, half a second over 13,000. A segment never
changes (deletions lie beside it), so what it says of a condition on an array is kept as long as it is there.
"""

import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from milvus_lite.search import indexed_filter
from milvus_lite.search.filter import CompiledExpr, evaluate_mask
from milvus_lite.search.filter.ast import And, ArrayContainsOp, InOp
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
MOST = 256
"""Conditions kept for a segment, a byte a row each: readers are of some dozens of kinds."""


class Masks:
    """By segment, the rows that each condition on an array lets through."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[weakref.ref[Any], dict[str, Mask]]] = {}

    def evaluate(self, segment: Any, condition: CompiledExpr, _plan: object) -> Mask:
        """In the place of `indexed_filter.evaluate_segment_filter`."""
        mask = np.ones(segment.table.num_rows, dtype=bool)
        for part in _conjuncts(condition.ast):
            mask &= self._part(segment.table, replace(condition, ast=part))
        return mask

    def _part(self, table: Any, part: CompiledExpr) -> Mask:
        if not isinstance(part.ast, ArrayContainsOp):
            return _evaluated(table, replace(part, backend="arrow") if isinstance(part.ast, InOp) else part)
        kept = self._of(table)
        name = repr(part.ast)
        if name not in kept:
            if len(kept) >= MOST:
                kept.clear()
            kept[name] = _evaluated(table, part)
        return kept[name]

    def _of(self, table: Any) -> dict[str, Mask]:
        """Goes with the segment's table."""
        number = id(table)
        if number not in self._kept:
            self._kept[number] = (weakref.ref(table, lambda _: self._kept.pop(number, None)), {})
        return self._kept[number][1]


def keep_masks() -> None:
    """From now on in this process."""
    indexed_filter.evaluate_segment_filter = Masks().evaluate


def _conjuncts(node: Any) -> Iterator[Any]:
    if isinstance(node, And):
        for each in node.operands:
            yield from _conjuncts(each)
    else:
        yield node


def _evaluated(table: Any, part: CompiledExpr) -> Mask:
    fields = [name for name in table.schema.names if name in part.fields]
    narrow = table.select(fields) if fields and part.backend != "hybrid" else table
    return np.asarray(evaluate_mask(part, narrow), dtype=bool)
