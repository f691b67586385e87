"""Which copies of the solved cases a Worker keeps: one for each embedder that answers or may in a second."""

from typing import Any, cast

import pytest

from app import db
from config.embedded.stores import Addresses
from deployments.composition import CaseShelves, case_shelf
from deployments.remote import RemoteEmbedder
from tests.integration.library import Library


def remote() -> RemoteEmbedder:
    return RemoteEmbedder(cast(Any, None), name="all-minilm-l6-v2", dimensions=384)


@pytest.mark.parametrize("store", ["milvus", "pgvector"])
async def test_a_shelf_for_every_embedder(
    pool: db.Pool, database_url: str, stores: Addresses, conn: db.Connection, store: str
) -> None:
    library = Library.at(pool, database_url, stores, store=store)
    shelves = CaseShelves(library.profile, library.environment, pool, remote())
    (only,) = await shelves.wanted()
    assert only.collection == case_shelf(library.profile), "nothing is indexed yet"
    await conn.execute(
        """
        INSERT INTO indexes (name, embedder, dimensions, chunker, active, status)
        VALUES ('a', 'all-minilm-l6-v2:int8:256', 384, 'c', false, 'standby'),
               ('b', 'other:fp32:128', 8, 'c', true, 'live'),
               ('c', 'other:fp32:256', 8, 'c', false, 'ready'),
               ('d', 'half:fp16:256', 8, 'c', false, 'building')
        """
    )
    found = await shelves.wanted()
    names = ["cases_fading_other_fp32", "cases_fading_all_minilm_l6_v2_int8"]
    assert [each.collection for each in found] == names
    assert found[0].embedder.dimensions == 8
    assert await shelves.wanted() == found, "opened once"
    await found[0].store.ensure(8)
    await shelves.drop(found[0].collection)
    await shelves.drop("cases_that_never_were")
