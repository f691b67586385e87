"""What a collection of passages looks like in Milvus, and how it is made.

Made with the synchronous client: the asynchronous one insists on waiting for each index with a call that
Milvus Lite does not have (`AllocTimestamp`); loading waits for them anyway.
"""

from typing import Any

from pymilvus import DataType, MilvusClient, MilvusException

MAX_TAGS = 64
MAX_TAG_BYTES = 512


def prepare(uri: str, collection: str, dimensions: int, timeout_s: float) -> None:
    """Make the collection and its indexes where they are missing, and load it.

    One of an older shape, which does not say who may read what, is made anew: the indexer fills it again.
    Raises `ValueError` where it is there with other dimensions.
    """
    client = MilvusClient(uri=uri, timeout=timeout_s)
    try:
        there = client.has_collection(collection, timeout=timeout_s)
        if there and "audiences" not in _fields(client, collection, timeout_s):
            client.drop_collection(collection, timeout=timeout_s)
            there = False
        if not there:
            client.create_collection(
                collection, schema=_schema(dimensions), consistency_level="Bounded", timeout=timeout_s
            )
        elif (has := int(_fields(client, collection, timeout_s)["dense"]["dim"])) != dimensions:
            raise ValueError(f"collection {collection!r} has {has} dimensions, not {dimensions}")
        missing = _indexes(client, without=set(client.list_indexes(collection, timeout=timeout_s)))
        if len(missing):
            client.create_index(collection, missing, timeout=timeout_s, sync=False)
        client.load_collection(collection, timeout=timeout_s)
    finally:
        client.close()


def all_ids(uri: str, collection: str, timeout_s: float) -> set[str]:
    """The ids of everything in the collection, fetched in pages."""
    client = MilvusClient(uri=uri, timeout=timeout_s)
    found: set[str] = set()
    try:
        pages = client.query_iterator(
            collection, batch_size=1000, output_fields=["chunk_id"], consistency_level="Strong"
        )
        while page := pages.next():
            found.update(row["chunk_id"] for row in page)
        pages.close()
    finally:
        client.close()
    return found


def point(uri: str, collection: str, alias: str, timeout_s: float) -> None:
    """Make the alias, or let it mean this collection instead of another."""
    client = MilvusClient(uri=uri, timeout=timeout_s)
    try:
        try:
            client.alter_alias(collection, alias, timeout=timeout_s)
        except MilvusException:
            client.create_alias(collection, alias, timeout=timeout_s)
    finally:
        client.close()


def _fields(client: MilvusClient, collection: str, timeout_s: float) -> dict[str, dict[str, Any]]:
    """The parameters of each field, by its name."""
    fields = client.describe_collection(collection, timeout=timeout_s)["fields"]
    return {field["name"]: field.get("params") or {} for field in fields}


def _schema(dimensions: int) -> Any:
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("chunk_id", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("article_id", DataType.VARCHAR, max_length=64)
    schema.add_field("language", DataType.VARCHAR, max_length=32)
    for name in ("audiences", "products", "topics"):
        schema.add_field(
            name,
            DataType.ARRAY,
            element_type=DataType.VARCHAR,
            max_capacity=MAX_TAGS,
            max_length=MAX_TAG_BYTES,
        )
    schema.add_field("dense", DataType.FLOAT_VECTOR, dim=dimensions)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    return schema


def _indexes(client: MilvusClient, *, without: set[str]) -> Any:
    wanted = client.prepare_index_params()
    if "dense" not in without:
        wanted.add_index(
            "dense",
            index_name="dense",
            index_type="HNSW",
            metric_type="COSINE",
            params={"M": 16, "efConstruction": 200},
        )
    if "sparse" not in without:
        wanted.add_index("sparse", index_name="sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    return wanted
