"""Searches of Milvus Lite over its segments, without looking at every row in Python.

Milvus Lite 3.2.2 decides for each row anew, at every search, whether it is the newest of its id and still
there; adds up sparse products one by one; and makes a dictionary of all of a hit's fields, vectors too, to
take one out of it. Here what segments and deletions say of rows is kept until one of them changes, numpy adds
up the products, and only the fields that were asked for are read. Its graph of neighbours finds little of
what a narrow filter lets through (78 % of the nearest hundred where that is a tenth of 2,400 passages, 46 %
where it is a fiftieth): few rows are compared one by one, for more the graph is searched as much further.

What lies in the memtable, or is asked for in another way (by partition, all fields, dynamic ones), Milvus
Lite still searches itself.
"""

import heapq
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeAlias

import numpy as np
from milvus_lite.analyzer.sparse import bytes_to_sparse
from milvus_lite.engine import collection as engine
from milvus_lite.index import sparse_factory
from milvus_lite.index.brute_force import BruteForceIndex
from milvus_lite.search import executor_indexed, indexed_filter
from numpy.typing import NDArray

from config.embedded.milvus_postings import Postings

Mask: TypeAlias = NDArray[np.bool_]
Hits: TypeAlias = list[dict[str, Any]]
Nearest: TypeAlias = Callable[[Any, Mask], tuple[NDArray[np.int64], NDArray[np.float32]]]
"""For each query the rows of a segment that a mask lets through, nearest first or -1, and their distances."""
FEW = 10
"""Times as many rows as are wanted: up to so many are compared one by one."""
MOST = 64
"""Sets of segments whose rows are kept in mind, a byte a row each: one a collection, and some of before."""

search_dense = executor_indexed.execute_search_with_index
search_sparse = engine.Collection._search_sparse


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of these tables are there, where `deleted` says when each id was deleted."""

    tables: list[weakref.ref[Any]]
    deleted: Mapping[Any, int]
    masks: list[Mask]


class Searches:
    """In the places of `execute_search_with_index` and of `Collection._search_sparse`."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, ...], Rows] = {}

    def dense(self, query_vectors: NDArray[np.float32], **how: Any) -> list[Hits]:
        segments, memtable, k = list(how["segments"]), how["memtable"], how["top_k"]
        fields, field = how["output_fields"], how["vector_field"]
        if how["partition_names"] or not _plain(segments, fields):
            return search_dense(query_vectors, **{**how, "segments": segments})  # type: ignore[no-any-return]

        def nearest(segment: Any, mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            vectors, there = segment.vector_data(field)
            mask = mask if there is None else mask & there
            index, rows = segment.indexes.get(field), int(mask.sum())
            if index is None or rows <= FEW * k:
                index = BruteForceIndex.build(vectors, how["metric_type"])
            params = _wider(how["search_params"] or {}, len(mask) / max(rows, 1))
            return index.search(  # type: ignore[no-any-return]
                query_vectors, k, valid_mask=None if mask.all() else mask, params=params
            )

        masks = self._masks(segments, how["delta_index"], memtable)
        _let_through(segments, masks, how["compiled_filter"], how["indexed_filter_plan"])
        found = _found(segments, masks, nearest, len(query_vectors), k, fields)
        if not memtable.size():
            return found
        return _joined(found, search_dense(query_vectors, **{**how, "segments": []}), k)

    def sparse(self, collection: Any, **how: Any) -> list[Hits]:
        segments, deleted = collection._read_snapshot()
        memtable, k, field = collection._memtable, how["top_k"], how["vector_field"]
        fields, metric = how["output_fields"], how["metric_type"]
        if how["partition_names"] or metric != "IP" or not _plain(segments, fields):
            return search_sparse(collection, **how)  # type: ignore[no-any-return]
        queries = collection._prepare_sparse_queries(how["query_vectors"], field)
        condition = how["expr"] and collection._compile_filter(how["expr"], timezone=how["timezone"])

        def nearest(segment: Any, mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            if not isinstance(postings := segment.sparse_indexes.get(field), Postings):
                postings = Postings()
                postings.build(
                    [bytes_to_sparse(row or b"") for row in segment.table.column(field).to_pylist()]
                )
                segment.sparse_indexes[field] = postings
            return postings._search_prepared(queries, k, valid_mask=mask)

        masks = self._masks(segments, deleted, memtable)
        _let_through(segments, masks, condition, collection._indexed_filter_plan(condition))
        found = _found(segments, masks, nearest, len(queries), k, fields)
        if not memtable.size():
            return found
        return _joined(found, search_sparse(OnlyMemtable(collection, deleted), **how), k)

    def _masks(self, segments: Sequence[Any], deleted: Any, memtable: Any) -> list[Mask]:
        """For each segment its rows that are there; they are the caller's to change."""
        masks = [mask.copy() for mask in self._settled(segments, deleted._map).masks]
        newer = {pk: seq for pk, (_, _, seq) in memtable.pk_index_snapshot()}
        gone = {pk: seq for pk, (seq, _) in memtable.delete_index_snapshot().items()}
        for changed in (newer, gone):
            for pk, seq in changed.items():
                for segment, mask in zip(segments, masks, strict=True):
                    row = segment.pk_to_row.get(pk)
                    if row is not None and segment.seqs[row] < seq:
                        mask[row] = False
        return masks

    def _settled(self, segments: Sequence[Any], deleted: Mapping[Any, int]) -> Rows:
        tables = tuple(id(segment.table) for segment in segments)
        kept = self._kept.get(tables)
        if kept and kept.deleted == deleted and all(table() is not None for table in kept.tables):
            return kept
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[tables] = Rows(
            [weakref.ref(segment.table) for segment in segments], dict(deleted), _there(segments, deleted)
        )
        return self._kept[tables]


class OnlyMemtable:
    """A collection without its segments."""

    def __init__(self, collection: Any, deleted: Any) -> None:
        self._collection = collection
        self._deleted = deleted

    def _read_snapshot(self) -> tuple[tuple[()], Any]:
        return (), self._deleted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)


def search_fast() -> None:
    """From now on in this process."""
    searches = Searches()
    engine.execute_search_with_index = searches.dense
    engine.Collection._search_sparse = lambda collection, **how: searches.sparse(collection, **how)
    sparse_factory.SparseIpIndex = Postings


def _plain(segments: Sequence[Any], fields: Sequence[str] | None) -> bool:
    return bool(
        segments
        and fields is not None
        and "*" not in fields
        and all("$meta" not in segment.table.schema.names for segment in segments)
    )


def _there(segments: Sequence[Any], deleted: Mapping[Any, int]) -> list[Mask]:
    """The rows that are the newest of their id in all segments, and were not deleted after that."""
    newest: dict[Any, int] = {}
    for segment in segments:
        for pk, seq in zip(segment.pks, segment.seqs.tolist(), strict=True):
            newest[pk] = max(seq, newest.get(pk, -1))
    return [
        np.array(
            [
                newest[pk] == seq and deleted.get(pk, -1) <= seq
                for pk, seq in zip(segment.pks, segment.seqs.tolist(), strict=True)
            ],
            dtype=bool,
        )
        for segment in segments
    ]


def _wider(params: Mapping[str, Any], times: float) -> dict[str, Any]:
    """As many candidates that are let through as without a filter."""
    return {**params, "ef": ceil(params["ef"] * times)} if "ef" in params else dict(params)


def _let_through(segments: Sequence[Any], masks: Sequence[Mask], condition: Any, plan: Any) -> None:
    if condition:
        for segment, mask in zip(segments, masks, strict=True):
            mask &= indexed_filter.evaluate_segment_filter(segment, condition, plan)


def _found(
    segments: Sequence[Any],
    masks: Sequence[Mask],
    nearest: Nearest,
    queries: int,
    k: int,
    fields: Sequence[str],
) -> list[Hits]:
    """The `k` nearest of all segments, for each query, with these fields."""
    near: list[list[tuple[float, int, int]]] = [[] for _ in range(queries)]
    for number, (segment, mask) in enumerate(zip(segments, masks, strict=True)):
        if mask.any():
            for mine, rows, distances in zip(near, *nearest(segment, mask), strict=True):
                there = rows >= 0
                mine += [
                    (distance, number, row)
                    for distance, row in zip(distances[there].tolist(), rows[there].tolist(), strict=True)
                ]
    return [_read(segments, heapq.nsmallest(k, mine), fields) for mine in near]


def _read(segments: Sequence[Any], near: Sequence[tuple[float, int, int]], fields: Sequence[str]) -> Hits:
    records: dict[tuple[int, int], dict[str, Any]] = {}
    for number, segment in enumerate(segments):
        if rows := [row for _, where, row in near if where == number]:
            hidden = {"_seq", "_partition", segment._pk_field}
            named = [name for name in segment.table.schema.names if name in fields and name not in hidden]
            read = segment.table.select(named).take(rows).to_pylist() if named else [{} for _ in rows]
            records |= {(number, row): record for row, record in zip(rows, read, strict=True)}
    return [
        {"id": segments[number].pks[row], "distance": distance, "entity": records[number, row]}
        for distance, number, row in near
    ]


def _joined(some: Sequence[Hits], more: Sequence[Hits], k: int) -> list[Hits]:
    return [
        heapq.nsmallest(k, [*a, *b], key=lambda hit: hit["distance"]) for a, b in zip(some, more, strict=True)
    ]
