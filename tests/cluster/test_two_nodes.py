"""Production's shape on two Ray nodes: deployed, scaled and released under load, no request failing."""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from app import db
from app.auth.tokens import AccessTokens
from config import profile
from config.embedded.stores import Addresses
from config.environment import CHECKOUT
from config.keyring import FixedKeys
from deployments.kubernetes import serve_config
from deployments.local import demo
from tests.cluster import release
from tests.cluster.nodes import Node, ray_program
from tests.cluster.traffic import Traffic
from tests.e2e.service import free_port
from tests.integration.knowledge import Knowledge

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        "ESERVICE_TWO_NODES" not in os.environ, reason="seven minutes of two cores: make chaos, and CI"
    ),
]
OVERLAYS = ("base/serve.yaml", "overlays/production/serve.yaml", "overlays/two-nodes/serve.yaml")
SECRET = secrets.token_urlsafe(32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("two-nodes")
    made.chmod(0o755)
    return made


@pytest.fixture
async def desk(database_url: str, stores: Addresses, folder: Path) -> str:
    """A database with people and the sample's articles."""
    await demo.seed_desk(database_url, folder, CHECKOUT / "examples" / "agents.yaml")
    pool = await db.connect(database_url, max_size=4, statement_timeout_s=10)
    assert stores.milvus_uri
    knowledge = Knowledge.new(pool, stores.milvus_uri, index=profile.load("test").retrieval.collection)
    await knowledge.index(CHECKOUT / "examples" / "knowledge" / "resolve-sync-conflicts.md")
    await knowledge.store.close()
    await pool.close()
    return database_url


@pytest.fixture
def cluster(desk: str, stores: Addresses, folder: Path) -> Iterator[Node]:
    kek = os.environ["ESERVICE_KEY_ENCRYPTION_KEY"]
    settings = stores.environ() | {"DATABASE_URL": desk, "ESERVICE_SECRET_KEY": SECRET}
    settings["ESERVICE_KEY_ENCRYPTION_KEY"] = kek
    settings["RAY_worker_niceness"] = "0"  # 15 by default: behind whatever else the machine does
    # A gateway that ends stays reachable so long; production's 30 s are for load balancers slow to notice.
    settings["RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"] = "10"
    head = Node(folder / "head", "general", settings)
    second = Node(folder / "second", "embedding", settings, head)
    try:
        head.start()
        second.start()
        yield head
    finally:
        keep_logs(head, folder / "logs")
        second.stop()
        head.stop()


def keep_logs(head: Node, to: Path) -> None:
    """Serve's own, which go with the cluster: what replicas, proxies and the controller say of a failure."""
    for logs in head.folder.glob("session_2*/logs/serve"):
        shutil.copytree(logs, to, dirs_exist_ok=True)


@pytest.fixture
async def tokens(desk: str) -> dict[str, str]:
    issuer = AccessTokens(FixedKeys.of(SECRET), ttl_s=3600)
    people = {role: await demo.identity(desk, role) for role in ("customer", "admin")}
    return {role: issuer.issue(who) for role, who in people.items() if who}


@pytest.fixture
async def traffic(tokens: dict[str, str]) -> AsyncIterator[Traffic]:
    made = Traffic(f"http://127.0.0.1:{free_port()}", tokens)
    yield made
    made.ended.set()


def configuration(port: int, working_dir: str, **replicas: int) -> dict[str, Any]:
    """Production's serveConfigV2 under the overlay for two nodes, with this release, these least replicas."""
    config = serve_config.overlaid(*(serve_config.KUBERAY / each for each in OVERLAYS))
    config["http_options"]["port"] = port
    (application,) = config["applications"]
    application["runtime_env"] = {"working_dir": working_dir}
    application["deployments"] = [each for each in application["deployments"] if each["name"] != "LLM"]
    for each in application["deployments"]:
        if each["name"] in replicas:
            each["autoscaling_config"]["min_replicas"] = replicas[each["name"]]
    return config


async def deploy(cluster: Node, config: dict[str, Any], folder: Path) -> None:
    """`serve deploy`, as an operator types it, and until all of it is there."""
    file = folder / "deployed.yaml"
    file.write_text(yaml.safe_dump(config))
    serve = Path(sys.executable).with_name("serve")
    done = await asyncio.to_thread(
        subprocess.run,
        [serve, "deploy", str(file), "--address", cluster.dashboard],
        env=ray_program(),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    wanted = {
        each["name"]: each["autoscaling_config"]["min_replicas"]
        for each in config["applications"][0]["deployments"]
    }
    await until(lambda: _is_there(cluster, wanted), 400)


def _is_there(cluster: Node, wanted: dict[str, int]) -> bool:
    application = cluster.application("eservice")
    assert application.get("status") != "DEPLOY_FAILED", json.dumps(application)[-3000:]
    running = {
        name: sum(replica["state"] == "RUNNING" for replica in each["replicas"])
        for name, each in application.get("deployments", {}).items()
        if each["status"] == "HEALTHY"
    }
    return application.get("status") == "RUNNING" and all(
        running.get(name, 0) >= least for name, least in wanted.items()
    )


async def until(condition: Callable[[], bool], within_s: float) -> None:
    end = time.monotonic() + within_s
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end, "not within the time it may take"
        await asyncio.sleep(1)


def placed(cluster: Node) -> dict[str, set[str]]:
    """The nodes that each deployment's replicas are on."""
    found = cluster.application("eservice")["deployments"]
    return {name: {replica["node_id"] for replica in each["replicas"]} for name, each in found.items()}


async def test_scaling_and_a_new_release_fail_no_request(
    cluster: Node, traffic: Traffic, folder: Path
) -> None:
    port = int(traffic.url.rpartition(":")[2])
    first, second = release.make(folder, "1.0.0"), release.make(folder, "1.1.0")
    await deploy(cluster, configuration(port, first), folder)
    nodes = placed(cluster)
    assert nodes["Embedder"] == nodes["Reranker"]
    assert nodes["Embedder"].isdisjoint(nodes["Gateway"]), "each pool's deployments are on its own node"

    running = asyncio.create_task(traffic.run())
    await asyncio.sleep(15)
    assert set(traffic.versions) == {"1.0.0"}

    scaled = {"Gateway": 3, "Embedder": 3}
    await deploy(cluster, configuration(port, first, **scaled), folder)
    await asyncio.sleep(10)
    await deploy(cluster, configuration(port, second, **scaled), folder)
    await until(lambda: _only(traffic, "1.1.0"), 300)
    await until(lambda: cluster.application("eservice")["status"] == "RUNNING", 300)
    await asyncio.sleep(10)
    traffic.ended.set()
    await running

    print(f"\n{dict(traffic.done)}, slowest {traffic.slowest_s:.1f} s, failures: {traffic.failures}")
    assert traffic.failures == []
    assert all(traffic.done[kind] > 20 for kind in ("search", "ticket", "chat", "version"))
    headers = {"Authorization": f"Bearer {traffic.tokens['customer']}"}
    async with httpx.AsyncClient(base_url=traffic.url, headers=headers) as client:
        found = [(await client.get(f"/api/v1/tickets/{each}")).status_code for each in traffic.tickets]
    assert set(found) == {200}, "every acknowledged ticket is there"


def _only(traffic: Traffic, version: str) -> bool:
    """Whether the last answers all came from that release."""
    found = {
        httpx.get(f"{traffic.url}/openapi.json", timeout=30).json()["info"]["version"] for _ in range(20)
    }
    return found == {version}
