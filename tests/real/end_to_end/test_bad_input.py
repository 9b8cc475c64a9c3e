# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cannot be run is refused with one sentence, before anything is written to Redis or done on a machine."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.tests.unit.plugins.plugin_utils.bad_input import (
    CLUSTERS,
    GOOD,
    JOBS,
    bad_input_lab,
)

from support.plays import Play
from support.redis_server import RedisServer
from support.repository import REPOSITORY
from support.sites import Site

# Of each kind of mistake one goes through the whole playbook.
JOBS_OF_EACH_KIND = [
    *("not closed", "twice", "deep flow", "exploding anchors", "ERB"),
    *("cluster without nodes", "role is a list", "MAC"),
    *("cluster with a path", "role with a slash", "role with dots", "role with a newline", "role with shell"),
    "two words",
]
NODES_OF_THE_SITE = {"server-1": ["server"], "client-1": ["client"], "client-2": ["client"]}
AT_ONCE = 4


class Case(t.NamedTuple):
    job: Path
    expected: str
    variables: dict[str, t.Any] = {}


def jobs_of_each_kind(folder: Path) -> dict[str, Case]:
    cases = {}
    for number, name in enumerate(JOBS_OF_EACH_KIND):
        place = folder / f"{number}"
        place.mkdir()
        lab = bad_input_lab(place)
        text, expected = JOBS[name]
        job = lab.write("jobs/job.yaml", text if isinstance(text, bytes) else text.encode())
        cases[name] = Case(job, expected, {"multidevice_script_paths": [str(lab.tree)]})
    return cases


def cluster_text(machine: str = "b", mac: str = "02:00:00:00:00:02", ip0: int = 1) -> str:
    machines = {
        "a": {"roles": ["server"], "macs": ["02:00:00:00:00:01"]},
        machine: {"roles": ["client"], "macs": [mac]},
    }
    return json.dumps({"ip0": ip0, "nodes": machines})


CLUSTERS_OF_EACH_KIND = {
    "a MAC twice": (cluster_text(mac="02-00-00-00-00-01"), 'the MAC 02:00:00:00:00:01 is there twice: node "a" has it'),
    "a machine with a path": (cluster_text("../b"), 'key "../b": a node\'s name starts with'),
    "a machine with a newline": (cluster_text("a\nb"), 'key "a\\nb": a node\'s name starts with'),
    "a machine with shell": (cluster_text("b;reboot"), 'key "b;reboot": a node\'s name starts with'),
    "ip0 out of range": (cluster_text(ip0=255), "ip0: 255 is out of range: the hosts of 192.168.222.0/24"),
}


def files_of_each_kind(folder: Path) -> dict[str, Case]:
    """Mistakes that are not in the text of the job."""
    cases = {}
    for name, (text, expected) in CLUSTERS_OF_EACH_KIND.items():
        path = folder / name.replace(" ", "-")
        path.write_text(text)
        cases[name] = (expected, {"multidevice_cluster": str(path)})
    pair = str(folder / "pair")
    Path(pair).write_text(cluster_text())
    network = {"multidevice_cluster": pair, "multidevice_direct_network": "10.0.0.0/31"}
    cases["a network too small"] = ('the direct network 10.0.0.0/31 is full at node "b"', network)
    large = folder / "large"
    with open(large, "wb") as handle:
        handle.truncate(100 * 1024 * 1024)
    too_large = "large: the file is larger than 4194304 bytes; this cannot be what was meant."
    cases["a cluster of 100 MB"] = (too_large, {"multidevice_cluster": str(large)})
    good = folder / "good.yaml"
    good.write_text(GOOD)
    refused = {name: Case(good, *case) for name, case in cases.items()}
    refused["a job of 100 MB"] = Case(large, too_large)
    refused["a job that is not there"] = Case(folder / "none", "none: the file cannot be read: No such file or")
    misspelt = "there is no variable multidevice_check_link; did you mean multidevice_check_links?"
    refused["a misspelt variable"] = Case(
        good, misspelt, {"multidevice_cluster": pair, "multidevice_check_link": "true"}
    )
    return refused


def test_whole_playbooks(site: Site, server: RedisServer) -> None:
    folder = site.folder / "bad"
    folder.mkdir()
    waiting = list({**jobs_of_each_kind(folder), **files_of_each_kind(folder)}.items())
    while waiting:
        started = [
            (name, case, site.start(case.job, variables={"multidevice_redis_url": server.url, **case.variables}))
            for name, case in waiting[:AT_ONCE]
        ]
        del waiting[:AT_ONCE]
        for name, case, play in started:
            play.wait()
            check_refused(name, case, play)
            # What it might have done on a machine would still be seen: nothing there ends by itself.
            site.assert_clean(play, seconds=2)
        assert server.client().keys("*") == [], [name for name, _case, _play in started]


def check_refused(name: str, case: Case, play: Play) -> None:
    assert play.process.returncode == 2, f"{name}: {play.output}"
    (said,) = [line for line in play.output.splitlines() if line.startswith("fatal: ")]
    message = json.loads(said.partition(" => ")[2])["msg"]
    assert case.expected in message and "\n" not in message and message[-1] in ".?", f"{name}: {play.output}"
    assert play.output.count("failed=1") == 1 and "changed=0" in play.output and "changed: [" not in play.output
    assert "Traceback" not in play.output and not play.results.exists(), f"{name}: {play.output}"


SPLIT_ALL = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - name: Split
      lab.multidevice.cluster_split:
        job: "{{ item.job }}"
        script_paths: "{{ item.trees }}"
        redis_url: "{{ redis_url }}"
      loop: "{{ jobs }}"
      loop_control:
        label: "{{ item.job }}"
      ignore_errors: true
      register: split
    - name: Keep what was said
      ansible.builtin.copy:
        content: "{{ split.results | map(attribute='msg', default='accepted') | to_json }}"
        dest: "{{ said }}"
        mode: "0600"
"""


@pytest.mark.usefixtures("only_root")
def test_every_bad_file_that_is_known(tmp_path: Path, server: RedisServer) -> None:
    """Through the action that the playbook uses."""
    expected, labs = [], []
    for number, (text, sentence) in enumerate([*JOBS.values(), *CLUSTERS]):
        folder = tmp_path / str(number)
        folder.mkdir()
        lab = bad_input_lab(folder)
        content = text if isinstance(text, bytes) else text.encode()
        if number < len(JOBS):
            lab.write("jobs/job.yaml", content)
        else:
            lab.write("jobs/job.yaml", "cluster: lab\nif role x:\n  netperf:\n")
            lab.write("tree/cluster/lab", content)
        expected.append(sentence)
        labs.append(lab)
    jobs = [{"job": str(lab.folder / "jobs" / "job.yaml"), "trees": [str(lab.tree)]} for lab in labs]
    playbook, said = tmp_path / "split.yml", tmp_path / "said.json"
    playbook.write_text(SPLIT_ALL)
    play = Play(
        tmp_path,
        playbook,
        cwd=tmp_path,
        variables={"jobs": jobs, "redis_url": server.url, "said": str(said)},
        ANSIBLE_COLLECTIONS_PATH=str(REPOSITORY / "playbooks" / "collections"),
    )
    try:
        assert play.wait() == 0, play.output
        for lab, sentence, message in zip(labs, expected, json.loads(said.read_text()), strict=True):
            assert sentence in lab.without_folders(message) and "\n" not in message, message
        assert server.client().keys("*") == []
    finally:
        play.end()


WORK = "cluster: some-machines\nif role client:\n  work: {mode: [fast, slow]}\n"


def test_a_machine_without_a_role_of_the_job_is_left_out_and_check_mode_touches_nothing(
    site: Site, server: RedisServer
) -> None:
    site.cluster(NODES_OF_THE_SITE)
    job = site.job(WORK, tests_work="# - mode\n\nexit 0")
    variables = {"multidevice_redis_url": server.url, "multidevice_params": "mode=slow"}
    play = site.run(job, "--check", "-i", str(site.lab.inventory), variables=variables)
    assert play.process.returncode == 0, play.output
    assert 'left out of cluster "some-machines", as they have no role of the job (client): server-1.' in play.output
    macs = {node: site.lab.macs(node)[0] for node in NODES_OF_THE_SITE}
    for line in (
        "run 1 on some-machines",
        f"  client-1: client, {macs['client-1']} 192.168.222.1",
        f"  client-2: client, {macs['client-2']} 192.168.222.2",
        f"    test work mode=slow ({job.parent}/tests/work)",
    ):
        assert line in play.output, play.output
    assert "run 2" not in play.output and not play.results.exists()
    assert server.client().keys("*") == []
    site.assert_clean(play, seconds=1)
