# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Redis held of a run, so that all that is told of the run can be told again.

The samples that hold it are recorded, as root, by

    PYTHONPATH=tests/real:playbooks/collections python -m report.recorded good fails lost aborted matrix queue

After that, the expected files are written anew: see test_recorded.py.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
import tempfile
import typing as t
from contextlib import closing
from pathlib import Path

import redis
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import (
    DEFAULT_PREFIX,
    RedisSettings,
)
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import make_reason
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.plan import plan_submission

from support.lab_workers import lab_with_workers
from support.plays import Play
from support.redis_server import RedisServer, binaries
from support.repository import REPOSITORY
from support.sites import Site, new_site

HERE = Path(__file__).parent
SAMPLES = HERE / "samples" / "recorded"
FILE = "recorded.json"
MADE_FROM_THE_REST = ("report.html", "junit.xml")

Recording = dict[str, t.Any]


def record(server: RedisServer, folder: Path, plan: t.Mapping[str, t.Any]) -> None:
    """Write what Redis holds of a submission into the folder of its results."""
    client: t.Any = server.client()
    ids = [run["cluster_id"] for run in plan["runs"]]
    keys = sorted(key for key in client.scan_iter(count=1000) if any(name in key for name in ids))
    streams = {key: client.xrange(key) for key in keys if client.type(key) == "stream"}
    hashes = {key: client.hgetall(key) for key in keys if client.type(key) == "hash"}
    nodes = f"{DEFAULT_PREFIX}cluster_state"
    hashes[nodes] = {job: text for job, text in client.hgetall(nodes).items() if job.rpartition(".")[0] in ids}
    sorted_sets = {key: client.zrange(key, 0, -1, withscores=True) for key in keys if client.type(key) == "zset"}
    sets = {key: sorted(client.smembers(key)) for key in keys if client.type(key) == "set"}
    recording = {"plan": plan, "hashes": hashes, "sets": sets, "sorted_sets": sorted_sets, "streams": streams}
    text = json.dumps(recording, indent=1, ensure_ascii=False)
    for path, name in ((REPOSITORY, "/home/me/multidevice"), (folder.parents[1], "/home/me/lab")):
        text = text.replace(str(path), name)
    (folder / FILE).write_text(text, encoding="utf-8")


def play_back(client: redis.Redis, folder: Path) -> t.Any:
    """Put it back into Redis; returns the plan."""
    recording: Recording = json.loads((folder / FILE).read_text(encoding="utf-8"))
    for key, fields in recording["hashes"].items():
        client.hset(key, mapping=fields)
    for key, members in recording["sets"].items():
        client.sadd(key, *members)
    for key, scores in recording["sorted_sets"].items():
        client.zadd(key, dict(scores))
    for key, entries in recording["streams"].items():
        for entry_id, fields in entries:
            client.xadd(key, fields, id=entry_id)
    return recording["plan"]


def _from_the_controller(name: str, folder: Path) -> None:
    with new_site(folder) as site, closing(RedisServer(next(iter(binaries().values())))) as server:
        cluster = str(site.lab.cluster_file)
        variables = {"multidevice_cluster": cluster, "multidevice_redis_url": server.url, "multidevice_lease": 6}
        job = {"aborted": "lost"}.get(name, name)
        play = site.start(
            f"site/{job}.yaml",
            playbook=str(REPOSITORY / "playbooks" / "multidevice.yml"),
            cwd=HERE,
            variables=variables,
            ANSIBLE_CONFIG=str(REPOSITORY / "playbooks" / "ansible.cfg"),
        )
        if job == "lost":
            site.wait_for_script(play, "client-2", "test-says")
            _end_it(name, site, play, server)
        play.wait(300)
        os.chdir(HERE)
        plan = plan_submission(f"site/{job}.yaml", submission_id=play.submission.name, cluster=cluster)
        record(server, play.submission, plan)
        _pack(name, play)


def _end_it(name: str, site: Site, play: Play, server: RedisServer) -> None:
    if name == "lost":
        site.lab.power_off("client-2")
    else:
        coordinator = Coordinator.connect(RedisSettings(url=server.url))
        (run,) = coordinator.history.runs()
        coordinator.runs.abort(run["cluster_id"], make_reason("the switch needs a new firmware"))


def _from_queues(name: str, folder: Path) -> None:
    machines = ("server-1", "client-1", "client-2")
    with lab_with_workers(folder, machines) as lab:
        for machine in machines:
            lab.start(machine)
        lab.wait_until_idle()
        play = lab.submit("../tests/real/report/site/good.yaml", multidevice_cluster=str(lab.site.lab.cluster_file))
        assert play.wait(120) == 0, play.output + lab.outputs()
        record(lab.server, play.submission, lab.coordinator.registration.plan(play.submission.name))
        _pack(name, play)


def _pack(name: str, play: Play) -> None:
    for made in MADE_FROM_THE_REST:
        (play.submission / made).unlink(missing_ok=True)
    with tarfile.open(SAMPLES / f"{name}.tar.gz", "w:gz") as packed:
        packed.add(play.submission, name)


if __name__ == "__main__":
    for sample in sys.argv[1:]:
        # Root's, but for others to pass through: the machines' scripts may run as somebody else.
        place = Path(tempfile.mkdtemp(prefix="md-record-", dir="/tmp"))
        try:
            (_from_queues if sample == "queue" else _from_the_controller)(sample, place)
        finally:
            shutil.rmtree(place)
