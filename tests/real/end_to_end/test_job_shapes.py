# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shapes that a job can have: several machines for a role, several roles for a machine, several runs, no lab at all."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from support.contract import check_shape, overlap, scripts_of
from support.plays import Play
from support.repository import REPOSITORY
from support.sites import Site, new_site, write_job
from support.waiting import wait_until

NODES = {
    "server-1": ["server"],
    "server-2": ["server"],
    "client-1": ["client"],
    "client-2": ["client"],
    "both-1": ["client", "server"],
    "idle-1": ["idle-role"],
}
MANY = """\
cluster: some-machines
greeting: hello world
if role server:
  serve:
if role client:
  work: first second
if role idle-role:
  only_here: nothing to run
ready:
  serve: {file: up}
"""
SHOW = """\
printf '%s\\n' "$*" "$node_roles" "$direct_ips" "$direct_macs" "$greeting" "$only_here" \\
  "$direct_server_ips" "$direct_client_ips" "$direct_idle_role_ips" "$server" "$client" "$idle_role" \\
  "$(getent hosts direct-both-1 | cut -d' ' -f1)" "$job_id" "$cluster_id" "$RESULT_ROOT" "${LKP_SRC:+set}" "$TMP"
sleep 2
"""


@pytest.fixture
def large_site(only_root: None, tmp_path: Path) -> t.Iterator[Site]:
    with new_site(tmp_path, NODES) as here:
        yield here


def test_several_machines_for_a_role_and_several_roles_for_a_machine(large_site: Site) -> None:
    site = large_site
    site.cluster(NODES)
    play = site.run(site.job(MANY, daemon_serve="touch up; exec sleep 600", tests_work=SHOW))
    assert play.process.returncode == 0, play.output
    summary = play.summary
    check_shape(summary)
    run = summary["runs"][0]
    assert {name: (node["state"], node["roles"]) for name, node in run["nodes"].items()} == {
        name: ("finish", roles) for name, roles in NODES.items()
    }
    daemons, tests = (scripts_of(run, kind=kind) for kind in ("daemon", "test"))
    assert {node for node, _name in daemons} == {"server-1", "server-2", "both-1"}
    assert {node for node, _name in tests} == {"client-1", "client-2", "both-1"}
    assert overlap(tests.values()) > 1
    assert max(daemon["started"] for daemon in daemons.values()) < min(test["started"] for test in tests.values())
    assert run["nodes"]["idle-1"]["scripts"] == []
    for node, _name in tests:
        folder = play.submission / "runs" / "1" / "nodes" / node / "test-work"
        check_environment(site, run, node, (folder / "stdout").read_text().splitlines())
    site.assert_clean(play)


def check_environment(site: Site, run: t.Mapping[str, t.Any], node: str, seen: list[str]) -> None:
    """What a script of the node was given: the job's variables, its own parameters, the addresses of all roles."""
    direct = {name: f"192.168.222.{number}" for number, name in enumerate(NODES, 1)}
    own = {name: site.lab.address(name) for name in NODES}
    members = {
        role: [name for name, roles in NODES.items() if role in roles] for role in ("server", "client", "idle-role")
    }
    about = [" ".join(NODES[node]), direct[node], site.lab.macs(node)[0]]
    of_roles = [
        " ".join(addresses[name] for name in names) for addresses in (direct, own) for names in members.values()
    ]
    job_id = run["nodes"][node]["job_id"]
    assert seen[:-3] == [
        *("first second", *about, "hello world", "", *of_roles),
        *(direct["both-1"], job_id, run["cluster_id"]),
    ]
    result_root, lkp_src, tmp = seen[-3:]
    assert result_root.endswith("/test-work") and lkp_src == "set" and tmp.startswith("/")


LOCAL = """\
cluster: cs-localhost
if role server:
  serve:
if role client:
  work:
ready:
  serve: {file: up}
"""
MEET = 'echo "$node_roles"; [ "$server" = "$client" ] && [ "$direct_server_ips" = "$server" ] && getent hosts server'


def test_without_any_other_machine(tmp_path: Path, only_root: None) -> None:
    hosts = Path("/etc/hosts").read_text()
    job = write_job(tmp_path / "job", LOCAL, daemon_serve="touch up; exec sleep 600", tests_work=MEET)
    play = Play(tmp_path, REPOSITORY / "playbooks" / "multidevice.yml", cwd=tmp_path, variables={"job": "job/job.yaml"})
    try:
        assert play.wait() == 0, play.output
        summary = play.summary
        check_shape(summary)
        assert job.samefile(tmp_path / summary["job"])
        node = summary["runs"][0]["nodes"]["localhost"]
        assert (node["state"], node["roles"], node["direct_ips"]) == ("finish", ["server", "client"], [])
        folder = play.submission / "runs" / "1" / "nodes" / "localhost"
        said = (folder / "test-work" / "stdout").read_text().split()
        assert said[:2] == ["server", "client"]
        wait_until("nothing left on the controller", lambda: not play.left_behind())
        assert summary["submission_id"] not in Path("/etc/hosts").read_text()
        assert Path("/etc/hosts").read_text().splitlines() == hosts.splitlines()
        assert not list(Path(f"/var/tmp/multidevice-{os.geteuid()}").glob(f"{node['job_id']}*"))
    finally:
        play.end()


RUNS = """\
cluster: some-machines
if role server:
  serve:
if role client:
  work:
    mode: [fast, slow]
ready:
  serve: {file: up}
"""


def test_a_parameter_list_makes_runs_with_a_verdict_each(site: Site) -> None:
    site.cluster({"server-1": ["server"], "client-1": ["client"]})
    work = '# - mode\n\necho "$mode on $cluster_id"; printf \'{"speed": 3}\' > "$RESULT_ROOT/metrics.json"; [ "$mode" = slow ]'
    play = site.run(site.job(RUNS, daemon_serve="touch up; exec sleep 600", tests_work=work))
    assert play.process.returncode not in (0, None), play.output
    summary = play.summary
    check_shape(summary)
    assert (summary["result"], [run["result"] for run in summary["runs"]]) == ("abort", ["abort", "finish"]), (
        play.output
    )
    first, second = summary["runs"]
    assert first["finished"] <= second["started"]
    for number, (run, mode) in enumerate(((first, "fast"), (second, "slow")), 1):
        assert list(run["params"].values()) == [mode]
        folder = play.submission / "runs" / str(number)
        said = (folder / "nodes" / "client-1" / "test-work" / "stdout").read_text()
        assert said == f"{mode} on {run['cluster_id']}\n"
        assert (folder / "nodes" / "server-1" / "daemon-serve" / "result.json").exists()
        assert scripts_of(run)["client-1", "work"]["metrics"]["speed"]["value"] == 3
    assert f"{summary['submission_id']}: abort, 1 of 2 runs" in play.output
    site.assert_clean(play)


def test_a_machine_lost_in_one_run_does_not_delay_the_next(site: Site) -> None:
    site.cluster({"server-1": ["server"], "client-1": ["client"]})
    work = "# - mode\n\necho here; exec sleep 600"
    job = site.job(RUNS, daemon_serve="touch up; exec sleep 600", tests_work=work)
    play = site.start(job, variables={"multidevice_lease": 4})
    site.wait_for_script(play, "client-1", "test-work", 90)
    site.lab.power_off("client-1")
    assert play.wait() != 0
    first, second = play.summary["runs"]
    assert (first["result"], second["result"]) == ("abort", "abort")
    assert first["reason"]["text"].startswith("node client-1 not heard from for ")
    assert second["reason"]["text"].startswith("client-1 cannot be reached: "), play.output
    site.assert_clean(play, lost=["client-1"])
