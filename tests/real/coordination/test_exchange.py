# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files between submitters and workers: through Redis, a folder, a web server."""

from __future__ import annotations

import functools
import http.server
import os
import threading
import typing as t
from pathlib import Path

import pytest
import redis
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._exchange import (
    PIECE,
    Exchange,
    RedisExchange,
    open_exchange,
    result_name,
    tree_name,
)

from support.plans import make_plan
from support.redis_server import RedisServer

NAME = result_name("20260131T120000-k3f9.1.2")


class WebFolder(http.server.SimpleHTTPRequestHandler):
    """The least that a web server for an exchange has to do."""

    refuses: t.ClassVar[bool] = False

    def handle_one_request(self) -> None:
        if self.refuses:
            self.raw_requestline = self.rfile.readline()
            if self.raw_requestline and self.parse_request():
                self.send_error(403)
        else:
            super().handle_one_request()

    def do_PUT(self) -> None:
        Path(self.translate_path(self.path)).write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(201)
        self.end_headers()

    def do_DELETE(self) -> None:
        path = Path(self.translate_path(self.path))
        self.send_response(204 if path.exists() else 404)
        path.unlink(missing_ok=True)
        self.end_headers()

    def log_message(self, format: str, *args: t.Any) -> None:
        """Say nothing."""


@pytest.fixture
def web(tmp_path: Path) -> t.Iterator[str]:
    folder = tmp_path / "web"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(WebFolder, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["redis", "folder", "web"])
def exchange(request: pytest.FixtureRequest, server: RedisServer, tmp_path: Path) -> Exchange:
    where = {"redis": "redis", "folder": str(tmp_path / "shared")}.get(request.param)
    (tmp_path / "shared").mkdir()
    return open_exchange(where or request.getfixturevalue("web"), RedisSettings(url=server.url))


@pytest.mark.parametrize("size", [0, 1, PIECE, 3 * PIECE + 17])
def test_what_is_put_can_be_fetched_until_it_is_removed(exchange: Exchange, tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(size))
    assert not exchange.get(NAME, target)
    exchange.put(NAME, source, keep_seconds=60)
    exchange.put(NAME, source, keep_seconds=60)
    assert exchange.get(NAME, target)
    assert target.read_bytes() == source.read_bytes()
    exchange.remove(NAME)
    exchange.remove(NAME)
    assert not exchange.get(NAME, target)


def test_in_redis_nothing_is_kept_for_ever_and_pieces_are_bounded(server: RedisServer, tmp_path: Path) -> None:
    client: t.Any = redis.Redis(unix_socket_path=str(server.socket))
    source = tmp_path / "source"
    source.write_bytes(b"x" * (2 * PIECE + 1))
    exchange = open_exchange("redis", RedisSettings(url=server.url))
    exchange.put(tree_name("a" * 64), source, keep_seconds=60)
    keys = client.keys("sched/files/*")
    assert keys == [f"sched/files/{tree_name('a' * 64)}".encode()]
    assert [len(piece) for piece in client.lrange(keys[0], 1, -1)] == [PIECE, PIECE, 1]
    assert 50_000 < client.pttl(keys[0]) <= 60_000
    exchange.put(tree_name("a" * 64), source, keep_seconds=90)
    assert client.pttl(keys[0]) > 80_000
    exchange.put(tree_name("a" * 64), source, keep_seconds=10)
    assert client.pttl(keys[0]) > 70_000
    client.lset(keys[0], 1, b"y" * PIECE)
    with pytest.raises(CoordinationError, match="is damaged: its checksum differs"):
        exchange.get(tree_name("a" * 64), tmp_path / "target")


def test_a_piece_whose_answer_was_lost_is_there_once_and_not_for_ever(server: RedisServer) -> None:
    client: t.Any = redis.Redis(unix_socket_path=str(server.socket))
    exchange = RedisExchange(RedisSettings(url=server.url))
    key = f"sched/files/{NAME}/half"
    for number, piece in enumerate([b"checksum", b"checksum", b"x", b"x"]):
        exchange._append(key, number // 2, piece)
    assert client.lrange(key, 0, -1) == [b"checksum", b"x"]
    assert 500_000 < client.pttl(key) <= 600_000
    client.delete(key)
    with pytest.raises(
        CoordinationError, match="went away while it was read: its time was over, or somebody removed it"
    ):
        exchange._piece(key, 1)


def test_a_name_that_is_taken_keeps_its_content(exchange: Exchange, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for text in ("first", "second"):
        source.write_text(text)
        exchange.put(NAME, source, keep_seconds=60)
    assert exchange.get(NAME, target)
    assert target.read_text() == "first"
    exchange.remove(NAME)


def test_in_a_folder_nothing_is_left_beside_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    source = tmp_path / "source"
    source.write_text("content")
    exchange = open_exchange(str(folder), RedisSettings())
    exchange.put(NAME, source, keep_seconds=60)
    assert [path.name for path in folder.iterdir()] == [NAME]
    with pytest.raises(CoordinationError, match=f"{folder}/tree-a.tar.gz cannot be written: No such file or directory"):
        exchange.put("tree-a.tar.gz", tmp_path / "nothing", keep_seconds=60)
    assert [path.name for path in folder.iterdir()] == [NAME]
    (folder / "tree-b.tar.gz").mkdir()
    with pytest.raises(CoordinationError, match=f"{folder}/tree-b.tar.gz cannot be read: Is a directory"):
        exchange.get("tree-b.tar.gz", tmp_path / "target")


def test_what_a_web_server_refuses_is_said(web: str, tmp_path: Path) -> None:
    exchange = open_exchange(web, RedisSettings())
    source = tmp_path / "source"
    source.write_text("content")
    # Between this address and that of a file there is one slash, however it was written.
    exchange.put(NAME, source, keep_seconds=60)
    assert [path.name for path in (tmp_path / "web").iterdir()] == [NAME]
    WebFolder.refuses = True
    try:
        for step in (
            lambda: exchange.put(NAME, source, keep_seconds=60),
            lambda: exchange.get(NAME, tmp_path / "target"),
            lambda: exchange.remove(NAME),
        ):
            with pytest.raises(CoordinationError, match=f"(HEAD|GET|DELETE) {web}{NAME} is refused: 403 Forbidden"):
                step()
    finally:
        WebFolder.refuses = False
    assert exchange.get(NAME, tmp_path / "target")


@pytest.mark.parametrize(
    "name", ["result-../../etc/passwd.tar.gz", "result-a/b.tar.gz", "other.tar.gz", "tree-..tar.gz"]
)
def test_names_lead_nowhere_else(exchange: Exchange, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is no name of a file to exchange"):
        exchange.get(name, tmp_path / "target")


def test_a_full_redis_says_so_keeps_no_half_of_an_upload_and_can_be_emptied(
    start_server: t.Callable[..., RedisServer], tmp_path: Path
) -> None:
    server = start_server("--maxmemory", "6mb")
    settings, client = RedisSettings(url=server.url), server.client()
    coordinator, exchange = Coordinator.connect(settings), open_exchange("redis", settings)
    plan = make_plan([["client"]])
    node = plan["runs"][0]["nodes"][0]
    coordinator.registration.submit(
        {**plan, "runs": [{**plan["runs"][0], "nodes": [{**node, "queue": "a"}]}]}, {node["job_id"]: {}}
    )
    source = tmp_path / "source"
    source.write_bytes(os.urandom(2 * PIECE))
    exchange.put(result_name(node["job_id"]), source, keep_seconds=60)
    known = set(client.keys("sched/*"))
    source.write_bytes(os.urandom(20 * PIECE))
    full = f"Redis at {server.socket} is full, it has reached its maxmemory: "
    with pytest.raises(CoordinationError, match=full):
        exchange.put(NAME, source, keep_seconds=60)
    assert set(client.keys("sched/*")) == known
    client.config_set("maxmemory", client.info("memory")["used_memory"] - PIECE)
    with pytest.raises(CoordinationError, match=full):
        coordinator.queues.go_along_line()
    assert coordinator.runs.remove(plan["runs"][0]["cluster_id"])
    coordinator.queues.go_along_line()


@pytest.mark.parametrize("address", ["https://ann:s3cret@files.example/lab", "https://s3cret@files.example/lab"])
def test_a_login_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(InputError, match="exchange: put the login for files.example into ~/.netrc") as refused:
        open_exchange(address, RedisSettings())
    assert "s3cret" not in str(refused.value)


def test_what_is_out_of_reach_is_said_in_a_sentence(tmp_path: Path) -> None:
    settings = RedisSettings(url="redis://127.0.0.1:1")
    with pytest.raises(InputError, match="right would be redis, the absolute path of a shared folder, or an address"):
        open_exchange("ftp://x", settings)
    with pytest.raises(CoordinationError, match="the shared folder .*/away is not there on this machine"):
        open_exchange(str(tmp_path / "away"), settings).get(NAME, tmp_path / "target")
    with pytest.raises(CoordinationError, match="GET http://127.0.0.1:1/.* fails: "):
        open_exchange("http://127.0.0.1:1/", settings).get(NAME, tmp_path / "target")
