# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What machines say fills neither the memory nor the disk of the controller."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay import _redis_server, _server


@pytest.fixture
def folder() -> t.Iterator[Path]:
    # The path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="md-", dir="/tmp") as name:
        yield Path(name)


def test_the_embedded_redis_takes_no_more_than_its_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_redis_server, "MEMORY", "8mb")

    async def fill() -> None:
        server = await _redis_server.RedisServer.start(folder)
        coordinator = Coordinator.connect(RedisSettings(url=server.url))
        try:
            coordinator.connection.call(
                lambda client: [client.set(f"k{number}", "x" * 1048576) for number in range(16)]
            )
        finally:
            coordinator.close()
            await server.stop()

    with pytest.raises(CoordinationError, match="is full, it has reached its maxmemory"):
        asyncio.run(fill())


def test_the_relays_log_has_an_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "LOG_LIMIT", 10_000)
    handler = _server.log_file(folder)
    for number in range(1000):
        handler.emit(logging.LogRecord("it", logging.INFO, "", 0, f"line {number} {'x' * 80}", None, None))
    handler.close()
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert set(sizes) == {"relay.log", "relay.log.1"}
    assert max(sizes.values()) <= 10_000
    assert "line 999 " in (folder / "relay.log").read_text()
