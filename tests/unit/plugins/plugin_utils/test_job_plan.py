# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import subprocess
import typing as t
from pathlib import Path

import pytest

pytest.importorskip("yaml")
pytest.importorskip("netaddr")

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.plan import plan_submission
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.values import parse_params
from ansible_collections.lab.multidevice.tests.unit.plugins.plugin_utils.job_lab import (
    SUBMISSION,
    TWO_NODES,
    JobLab,
    environment,
    script_ids,
)


@pytest.fixture
def lab(tmp_path: Path) -> JobLab:
    lab = JobLab(tmp_path)
    lab.cluster()
    lab.scripts("tests/netperf", "tests/sleep", options=["test", "nr_threads", "runtime"])
    lab.scripts("daemon/netserver", "daemon/net/iperf-server", "setup/disk", "setup/fs", "monitors/iostat")
    return lab


def job(text: str, cluster: str = "pair") -> str:
    return f"cluster: {cluster}\n{text}"


# Where scripts are found


@pytest.mark.parametrize(
    ("path", "key", "expected"),
    [
        ("tests/foo", "foo", [("test", "tests/foo")]),
        ("daemon/foo", "foo", [("daemon", "daemon/foo")]),
        ("setup/foo", "foo", [("setup", "setup/foo")]),
        ("monitors/foo", "foo", [("monitor", "monitors/foo")]),
        ("tests/a/b/foo", "foo", [("test", "tests/a/b/foo")]),
        ("daemon/net/foo-server.sh", "foo-server.sh", [("daemon", "daemon/net/foo-server.sh")]),
        ("programs/foo/run", "foo", [("test", "programs/foo/run")]),
        ("programs/foo/daemon", "foo", [("daemon", "programs/foo/daemon")]),
        ("programs/foo/setup", "foo", [("setup", "programs/foo/setup")]),
        ("programs/foo/monitor", "foo", [("monitor", "programs/foo/monitor")]),
        ("programs/foo/one-shot-monitor", "foo", [("monitor", "programs/foo/one-shot-monitor")]),
        ("tests/foo", "foo-2", [("test", "tests/foo")]),
        ("tests/foo-2", "foo-2", [("test", "tests/foo-2")]),
        ("tests/foo", "test.foo", [("test", "tests/foo")]),
        ("programs/foo/run", "program.foo", [("test", "programs/foo/run")]),
        ("setup/foo", "setup.foo", [("setup", "setup/foo")]),
        ("daemon/foo", "daemon.foo", [("daemon", "daemon/foo")]),
        ("monitors/foo", "monitor.foo", [("monitor", "monitors/foo")]),
        ("tests/foo", "program.foo-2", [("test", "tests/foo")]),
        ("tests/foo", "setup.foo", []),
        ("setup/foo", "program.foo", []),
        ("tests/foo", "other.foo", []),
        ("tests/setup.foo", "setup.foo", [("test", "tests/setup.foo")]),
        ("tests/test.foo", "test.foo", [("test", "tests/test.foo")]),
        ("tests/foo", "foo-x", []),
        ("tests/foo", "foo-2-3", []),
        ("tests/foo", "foo-", []),
        ("tests/foo.yaml", "foo.yaml", []),
        ("tests/foo.2", "foo.2", []),
        ("tests/wrapper", "wrapper", []),
        ("tests/.git/foo", "foo", []),
        ("stats/foo", "foo", []),
        ("programs/foo/parse", "foo", []),
    ],
)
def test_names_of_scripts(lab: JobLab, path: str, key: str, expected: list[tuple[str, str]]) -> None:
    lab.scripts(path)
    node = lab.nodes(job(f"if role server:\n  {key}:\n"))["one"]
    assert [(script["kind"], script["path"]) for script in node["scripts"]] == expected
    assert all(script["root"] == str(lab.tree) for script in node["scripts"])


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["setup/foo", "daemon/foo", "tests/foo", "monitors/foo"], "setup/foo"),
        (["daemon/foo", "tests/foo", "monitors/foo"], "daemon/foo"),
        (["tests/foo", "monitors/foo"], "tests/foo"),
        (["programs/foo/one-shot-monitor", "programs/foo/monitor"], "programs/foo/monitor"),
    ],
)
def test_the_folder_that_goes_before_others(lab: JobLab, paths: list[str], expected: str) -> None:
    lab.scripts(*paths)
    (script,) = lab.nodes(job("if role server:\n  foo:\n"))["one"]["scripts"]
    assert script["path"] == expected


def test_a_script_of_the_whole_name_comes_before_a_second_time(lab: JobLab) -> None:
    lab.scripts("tests/foo", "tests/foo-2", "setup/bar")
    text = "if role server:\n  foo-2:\n  foo-3:\n  bar-1:\n  script tests/bar-1: x\n"
    scripts = lab.nodes(job(text))["one"]["scripts"]
    assert [(script["name"], script["path"]) for script in scripts] == [
        ("foo-2", "tests/foo-2"),
        ("foo", "tests/foo"),
        ("bar-1", None),
    ]


def test_scripts_that_run_several_times_have_ids_of_their_own(lab: JobLab) -> None:
    text = "netperf:\nif role server:\n  netperf-2:\n  netperf:\n  if role server:\n    netperf:\n  test.netperf:\n"
    node = lab.nodes(job(text))["one"]
    assert script_ids(node) == ["test-netperf", "test-netperf-2", "test-netperf-3", "test-netperf-4", "test-netperf-5"]


def test_parts_of_a_program_run_each_in_its_turn(lab: JobLab) -> None:
    for part in ("run", "setup", "daemon", "monitor"):
        lab.scripts(f"programs/foo/{part}")
    lab.write("tree/programs/foo/meta.yaml", "metadata: {}\n")
    node = lab.nodes(job("if role server:\n  foo: {size: 1}\n"))["one"]
    assert script_ids(node) == ["setup-foo", "monitor-foo", "daemon-foo", "test-foo"]
    assert all(script["env"] == {"size": "1"} for script in node["scripts"])


@pytest.mark.parametrize("path", ["tests/foo", "tests/deeper/foo", "programs/foo/run"])
def test_a_file_that_is_not_executable_is_no_script(lab: JobLab, path: str) -> None:
    lab.write(f"tree/{path}", "#!/bin/sh\n")
    with pytest.raises(InputError) as refused:
        lab.plan(job("if role server:\n  foo:\nif role client:\n"))
    assert str(refused.value) == (
        f'{lab.folder}/jobs/job.yaml, line 3, key "foo": names {lab.tree}/{path}, which is not executable; '
        "chmod +x it, or give the key another name."
    )


def test_the_folder_of_the_job_comes_first_and_others_in_their_order(lab: JobLab) -> None:
    other = lab.folder / "other"
    for path in ("jobs/tests/mine", "other/tests/mine", "other/tests/netperf", "other/tests/theirs"):
        lab.write(path, "#!/bin/sh\n", executable=True)
    text = job("if role server:\n  mine:\n  netperf:\n  theirs:\n")
    node = lab.nodes(text, script_paths=[str(lab.tree), str(other)])["one"]
    assert [script["root"] for script in node["scripts"]] == [str(lab.folder / "jobs"), str(lab.tree), str(other)]
    (run,) = lab.plan(text, script_paths=[str(other), str(lab.tree)])["runs"]
    assert run["script_roots"] == [str(lab.folder / "jobs"), str(other), str(lab.tree)]
    assert run["nodes"][0]["scripts"][1]["root"] == str(other)


def test_a_folder_without_scripts_is_no_script_root(lab: JobLab) -> None:
    (lab.folder / "empty").mkdir()
    paths = {"script_paths": [str(lab.folder / "empty")], "cluster_paths": [str(lab.tree / "cluster")]}
    (run,) = lab.plan(job("if role server:\n"), **paths)["runs"]
    assert run["script_roots"] == []


def test_a_link_within_the_tree_is_followed_and_one_out_of_it_refused(lab: JobLab) -> None:
    outside = lab.write("outside", "#!/bin/sh\n", executable=True)
    os.symlink("netperf", lab.tree / "tests" / "alias")
    os.symlink(outside, lab.tree / "tests" / "leak")
    assert script_ids(lab.nodes(job("if role server:\n  alias:\n"))["one"]) == ["test-alias"]
    assert "the script tests/leak leads out of its folder" in lab.error(job("if role server:\n  leak:\n"))
    assert lab.nodes(job("if role server:\n  netperf:\n"))


def test_the_tree_may_be_reached_through_a_link(lab: JobLab) -> None:
    os.symlink(lab.tree, lab.folder / "link")
    node = lab.nodes(job("if role server:\n  netperf:\n"), script_paths=[str(lab.folder / "link")])["one"]
    assert node["scripts"][0]["root"] == str(lab.tree)


# What scripts get


@pytest.mark.parametrize(
    ("value", "args", "env"),
    [
        ("", [], {}),
        (" {}", [], {}),
        (" 60", ["60"], {}),
        (" -l 5 'a b'", ["-l", "5", "a b"], {}),
        (" {test: TCP_RR, nr: 2}", [], {"test": "TCP_RR", "nr": "2"}),
        (" {a: {b: 1, c: {d: 2}}, e: 3}", [], {"b": "1", "c": "d=2", "e": "3"}),
        (" {a: , b: [x, y], c: true}", [], {"a": "", "b": "x\ny", "c": "true"}),
        (" {runtime: 5m, nr_threads: 2dd}", [], {"runtime": "300", "nr_threads": "2"}),
        (" {cpuset.cpus: 0-3}", [], {"cpuset_46_cpus": "0-3"}),
        (" {a-b c: 1, x: {d-e: 2}}", [], {"a_45_b_32_c": "1", "d_45_e": "2"}),
    ],
)
def test_parameters_of_a_script(lab: JobLab, value: str, args: list[str], env: dict[str, str]) -> None:
    (script,) = lab.nodes(job(f"if role server:\n  netperf:{value}\n"))["one"]["scripts"]
    assert (script["args"], script["env"], script["cpu_shares"]) == (args, env, {})


def test_shares_among_the_parameters_of_a_script(lab: JobLab) -> None:
    text = job("if role server:\n  netperf: {nr_threads: 50%, x: {nr_task: 25%, nr_jobs: 2dd}}\n  netserver:\n")
    own, daemon = lab.nodes(text)["one"]["scripts"]
    assert (own["env"], own["cpu_shares"]) == ({"nr_jobs": "2"}, {"nr_threads": 50.0, "nr_task": 25.0})
    assert (daemon["env"], daemon["cpu_shares"]) == ({}, {})


def test_variables_are_exported_in_one_form_each(lab: JobLab) -> None:
    text = """
    cluster: pair
    nothing:
    text: a b
    number: 010
    truth: yes
    list: [1, two, null]
    nr_threads: 50%
    not-a-name: 5
    if role server:
      netperf:
    """
    node = lab.nodes(text)["one"]
    assert node["cpu_shares"] == {"nr_threads": 50.0}
    assert node["env"] == {
        "cluster": "pair",
        "nothing": "",
        "text": "a b",
        "number": "010",
        "truth": "true",
        "list": "1\ntwo\n",
    }


def test_order_within_a_block(lab: JobLab) -> None:
    text = """
    cluster: pair
    if role server:
      netperf: 1
      iostat:
      netserver:
      fs: ext4
      late: 1
      netperf-2: 2
      disk: 1HDD
      if role server:
        sleep: 3
        disk: 2HDD
      iperf-server:
    """
    node = lab.nodes(text)["one"]
    assert script_ids(node) == [
        "setup-fs",
        "setup-disk",
        "monitor-iostat",
        "test-netperf",
        "daemon-netserver",
        "test-netperf-2",
        "setup-disk-2",
        "test-sleep",
        "daemon-iperf-server",
    ]
    assert node["env"]["late"] == "1"


def test_variables_of_a_block_are_seen_from_there_on(lab: JobLab) -> None:
    lab.cluster("nodes: {one: {roles: [server, client]}}")
    text = """
    cluster: pair
    everywhere: 1
    size: top
    netperf: {x: 1}
    if role server:
      size: small
      netserver:
    if role client:
      size: large
      mine: 1
      sleep: 5
    """
    node = lab.nodes(text)["one"]
    assert node["env"] == {"cluster": "pair", "everywhere": "1"}
    assert environment(node, "test-netperf") == {"cluster": "pair", "everywhere": "1", "size": "top", "x": "1"}
    assert environment(node, "daemon-netserver")["size"] == "small"
    assert environment(node, "test-sleep")["size"] == "large" and environment(node, "test-sleep")["mine"] == "1"
    assert "mine" not in environment(node, "daemon-netserver")


@pytest.mark.parametrize(
    ("common", "of_others", "own", "expected"),
    [
        ("50%", 50.0, "4", "4"),
        ("50%", 50.0, "25%", 25.0),
        ("50%", 50.0, "50%", 50.0),
        ("50%", 50.0, "2dd", "2"),
        ("4", "4", "25%", 25.0),
        ("4", "4", "5", "5"),
    ],
)
def test_a_parameter_wins_over_a_variable_of_the_job(
    lab: JobLab, common: str, of_others: t.Any, own: str, expected: t.Any
) -> None:
    text = job(f"nr_threads: {common}\nif role server:\n  netserver:\n  netperf: {{nr_threads: {own}}}\n")
    node = lab.nodes(text)["one"]
    assert environment(node, "test-netperf")["nr_threads"] == expected
    assert environment(node, "daemon-netserver")["nr_threads"] == of_others
    for script in node["scripts"]:
        assert not {*node["env"], *script["env"]} & {*node["cpu_shares"], *script["cpu_shares"]}


# Roles


@pytest.mark.parametrize(
    ("key", "role"),
    [
        ("if role server", "server"),
        ("if  role   server ", "server"),
        ("'if role server:'", "server"),
        ("'if role server ::  '", "server"),
        ('"if\\trole server"', "server"),
    ],
)
def test_spellings_of_a_role_key(lab: JobLab, key: str, role: str) -> None:
    (run,) = lab.plan(job(f"{key} :\n  netserver:\n"))["runs"]
    assert run["roles"] == [role] and script_ids(run["nodes"][0]) == ["daemon-netserver"]


def test_several_roles_and_several_nodes(lab: JobLab) -> None:
    lab.cluster(
        """
        nodes:
          a: {roles: [server, client]}
          b: {roles: [client, server-2]}
          c: {roles: [spare]}
          d: {roles: [client]}
        """
    )
    text = """
    cluster: pair
    if role server:
      netserver:
    if role client:
      netperf:
      if role server:
        sleep: 1
      if role spare:
        sleep: 2
    """
    plan = lab.plan(text)
    (run,) = plan["runs"]
    assert run["roles"] == ["server", "client"]
    assert {node["node"]: script_ids(node) for node in run["nodes"]} == {
        "a": ["daemon-netserver", "test-netperf", "test-sleep"],
        "b": ["test-netperf"],
        "d": ["test-netperf"],
    }
    assert [node["job_id"].rsplit(".", 2)[1:] for node in run["nodes"]] == [["1", "1"], ["1", "2"], ["1", "3"]]
    assert [node["node_roles"] for node in run["nodes"]] == ["server client", "client server-2", "client"]
    assert plan["warnings"] == [
        f'{lab.tree}/cluster/pair: left out of cluster "pair", as they have no role of the job (server, client): c.'
    ]


def test_a_node_that_is_left_out_uses_no_address(lab: JobLab) -> None:
    lab.cluster(
        """
        a: {roles: [server], macs: ["02:00:00:00:00:01"]}
        b: {roles: [spare], macs: ["02:00:00:00:00:02"]}
        c: {roles: [client], macs: ["02:00:00:00:00:03"]}
        """
    )
    nodes = lab.nodes(job("if role server:\nif role client:\n"))
    assert {name: node["direct_ips"] for name, node in nodes.items()} == {
        "a": ["192.168.222.1"],
        "c": ["192.168.222.2"],
    }


def test_localhost_has_all_roles_and_no_links(lab: JobLab) -> None:
    text = job("if role server:\n  netserver:\nif role a.b:\n  netperf:\n", "cs-localhost")
    (node,) = lab.nodes(text).values()
    assert (node["node"], node["roles"], node["direct_ips"]) == ("localhost", ["server", "a.b"], [])
    assert script_ids(node) == ["daemon-netserver", "test-netperf"]
    (run,) = lab.plan(text)["runs"]
    assert (run["cluster"], run["roles"]) == ("cs-localhost", ["server", "a.b"])
    lab.cluster("here: {roles: [client, server]}", "cs-localhost")
    (node,) = lab.nodes(text).values()
    assert (node["node"], node["roles"]) == ("here", ["client", "server", "a.b"])
    lab.cluster("here: {roles: [server]}\nthere: {roles: [a.b]}", "cs-localhost")
    assert {name: node["roles"] for name, node in lab.nodes(text).items()} == {"here": ["server"], "there": ["a.b"]}
    assert list(lab.nodes(text.replace("cluster: cs-localhost", ""), cluster="cs-localhost")) == ["here", "there"]
    assert list(lab.nodes(text.replace("cs-localhost", "pair"), cluster="cs-localhost")) == ["here", "there"]


def test_the_cluster_of_the_submission_wins(lab: JobLab) -> None:
    lab.cluster("other: {roles: [server]}", "second")
    lab.write("elsewhere/third.yaml", "third: {roles: [server]}")
    text = "cluster: pair\ncluster_spec: {nodes: {inline: {roles: [server]}}}\nif role server:\n  netserver:\n"
    assert list(lab.nodes(text)) == ["inline"]
    assert list(lab.nodes(text, cluster="second")) == ["other"]
    assert list(lab.nodes(text, cluster=str(lab.folder / "elsewhere" / "third.yaml"))) == ["third"]
    assert list(lab.nodes(text, cluster="cs-localhost")) == ["localhost"]
    assert lab.nodes(text, cluster="second")["other"]["env"]["cluster"] == "second"
    assert lab.nodes(text)["inline"]["env"]["cluster"] == "pair"
    (run,) = lab.plan(text)["runs"]
    assert run["cluster"] == "pair"
    (run,) = lab.plan(text.replace("cluster: pair", "cluster: "))["runs"]
    assert run["cluster"] == "cluster_spec"
    assert list(lab.nodes(text, cluster="third", cluster_paths=[str(lab.folder / "elsewhere")])) == ["third"]


def test_lookup_of_cluster_files(lab: JobLab) -> None:
    folders = ["jobs", "jobs/cluster", "extra", "tree/cluster"]
    for folder in reversed(folders):
        lab.write(f"{folder}/pair", f"{folder.replace('/', '-')}: {{roles: [server]}}")
        assert list(lab.nodes(job("if role server:\n"), cluster_paths=[str(lab.folder / "extra")])) == [
            folder.replace("/", "-")
        ]


def test_direct_links_of_a_node(lab: JobLab) -> None:
    lab.cluster('a: {roles: [server], macs: ["02:00:00:00:00:0A", 02-00-00-00-00-0b]}')
    (node,) = lab.nodes(job("if role server:\n"), direct_network="10.0.0.0/24,fd00::/64", mtu=9000).values()
    assert node["direct_macs"] == ["02:00:00:00:00:0a"] * 2 + ["02:00:00:00:00:0b"] * 2
    assert node["direct_ips"] == ["10.0.0.1", "fd00::1", "10.0.0.2", "fd00::2"]
    assert (node["direct_prefixes"], node["nr_nic"]) == ([24, 64, 24, 64], 2)
    assert node["direct_links"] == [
        {"mac": "02:00:00:00:00:0a", "ip": ["10.0.0.1/24", "fd00::1/64"], "mtu": 9000},
        {"mac": "02:00:00:00:00:0b", "ip": ["10.0.0.2/24", "fd00::2/64"], "mtu": 9000},
    ]
    assert node["job"]["direct_ips"] == "10.0.0.1 fd00::1 10.0.0.2 fd00::2"
    (node,) = lab.nodes(job("if role server:\n"), direct_network="10.0.0.0/24", one_network_per_mac=True).values()
    assert node["direct_ips"] == ["10.0.0.1", "10.0.1.1"]


# Inline scripts, conditions, settings of scripts


def test_inline_scripts(lab: JobLab) -> None:
    text = """
    cluster: pair
    script tests/foo: |
      #!/bin/sh
      # - size

      echo "{{ not ours }}"
    script stats/foo: |
      not for the machines
    if role server:
      foo: {size: [1, 2]}
      script daemon/net/bar-server: |
        #!/bin/sh
      bar-server: -v
    if role client:
      script tests/foo: |
        #!/bin/sh
        echo client
      foo:
    """
    plan = lab.plan(text)
    assert [run["params"] for run in plan["runs"]] == [{"size": 1}, {"size": 2}]
    server, client = plan["runs"][1]["nodes"]
    own, daemon = server["scripts"]
    assert (own["id"], own["kind"], own["root"], own["path"]) == ("test-foo", "test", str(lab.tree), None)
    assert own["content"] == '#!/bin/sh\n# - size\n\necho "{{ not ours }}"\n' and own["env"] == {"size": "2"}
    assert (daemon["id"], daemon["args"], daemon["content"]) == ("daemon-bar-server", ["-v"], "#!/bin/sh\n")
    assert client["scripts"][0]["content"] == "#!/bin/sh\necho client\n"


CONDITIONAL = """
cluster: pair
if role server:
  switch: 1
  if [ "$switch" = 1 ]:
    inner: 5
    if test -n "$inner":
      netperf: {x: 1}
    netserver:
    script tests/foo: |
      #!/bin/sh
      echo "it's $inner $1"
    foo: one
  sleep: 1
"""


def run_content(node: dict[str, t.Any], script_id: str, tmp: Path, switch: str) -> str:
    (script,) = [script for script in node["scripts"] if script["id"] == script_id]
    tmp.mkdir(exist_ok=True)
    program = tmp / "program"
    program.write_text(script["content"])
    variables = {**environment(node, script_id), "switch": switch, "LKP_SRC": script["root"], "TMP": str(tmp)}
    done = subprocess.run(
        ["/bin/sh", str(program), *script["args"]],
        env={**variables, "PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stdout


def test_a_shell_condition_is_asked_on_the_node(lab: JobLab) -> None:
    lab.write("tree/tests/netperf", '#!/bin/sh\necho "ran $x $inner"\n', executable=True)
    node = lab.nodes(CONDITIONAL)["one"]
    assert script_ids(node) == ["test-netperf", "daemon-netserver", "test-foo", "test-sleep"]
    assert "inner" not in environment(node, "test-sleep")
    assert node["scripts"][-1]["content"] is None
    tmp = lab.folder / "tmp"
    skipped = tmp / "script.skipped"
    for script_id, output in (("test-netperf", "ran 1 5\n"), ("test-foo", "it's 5 one\n")):
        assert run_content(node, script_id, tmp, "1") == output
        assert not skipped.exists()
        assert run_content(node, script_id, tmp, "0") == ""
        skipped.unlink()


def test_conditions_hold_for_their_own_block_only(lab: JobLab) -> None:
    text = """
    cluster: pair
    if role server:
      if [ -e a ]:
        disk:
        if [ -e b ]:
          netperf:
        if [ -e c ]:
        if role client:
          sleep: 1
        if role server:
          sleep: 2
      if  [ -e d ] ::
        iostat:
      netserver:
    """
    scripts = {script["id"]: script for script in lab.nodes(text)["one"]["scripts"]}
    asked = {name: re.findall("^if (.*); then$", script["content"] or "", re.M) for name, script in scripts.items()}
    assert asked == {
        "setup-disk": ["[ -e a ]"],
        "test-netperf": ["[ -e a ]", "[ -e b ]"],
        "test-sleep": ["[ -e a ]"],
        "monitor-iostat": ["[ -e d ]"],
        "daemon-netserver": [],
    }
    assert scripts["test-sleep"]["args"] == ["2"]
    assert [name for name, script in scripts.items() if script["path"]] == ["daemon-netserver"]
    assert {script["root"] for script in scripts.values()} == {str(lab.tree)}


def test_ready_and_timeout_are_settings_when_they_hold_a_mapping(lab: JobLab) -> None:
    text = """
    cluster: pair
    ready:
      netserver: {port: 12865, timeout: 1m}
      iperf-server: {file: /run/iperf}
    timeout: {netperf: 90, sleep-2: 5m}
    if role server:
      netserver:
      iperf-server:
      if role server:
        ready: {iperf-server: {command: "true"}}
        iperf-server:
      netserver-2:
      iperf-server-2:
    if role client:
      netperf:
      netperf-2:
      if role client:
        timeout: {netperf-2: 10}
        netperf-2:
        netperf:
      sleep: 1
      sleep-2: 1
    """
    nodes = lab.nodes(text)
    assert [script["ready"] for script in nodes["one"]["scripts"]] == [
        {"port": 12865, "timeout": 60},
        {"file": "/run/iperf"},
        {"command": "true"},
        {"port": 12865, "timeout": 60},
        {"file": "/run/iperf"},
    ]
    assert [script["timeout"] for script in nodes["one"]["scripts"]] == [None] * 5
    assert [script["timeout"] for script in nodes["two"]["scripts"]] == [90, 90, 10, 90, None, 300]
    assert [script["ready"] for script in nodes["two"]["scripts"]] == [None] * 6
    assert nodes["one"]["env"] == {"cluster": "pair"}
    plain = lab.nodes(job("timeout: 600\nready: no\nif role server:\n  netserver:\n"))["one"]
    assert plain["env"] == {"cluster": "pair", "timeout": "600", "ready": "false"}


def test_only_the_daemon_of_a_program_is_waited_for(lab: JobLab) -> None:
    lab.scripts("programs/both/daemon", "programs/both/run")
    text = "ready: {both: {port: 1}, both-2: {port: 65535}}\ntimeout: {both: 5s}\nif role server:\n  both:\n  both-2:\n"
    scripts = lab.nodes(job(text))["one"]["scripts"]
    assert [(script["id"], script["ready"], script["timeout"]) for script in scripts] == [
        ("daemon-both", {"port": 1}, 5),
        ("test-both", None, 5),
        ("daemon-both-2", {"port": 65535}, 5),
        ("test-both-2", None, 5),
    ]


def test_ready_and_timeout_with_a_mapping_are_settings_whatever_scripts_there_are(lab: JobLab) -> None:
    lab.scripts("tests/ready", "tests/timeout")
    text = "ready: {netserver: {port: 5}}\ntimeout: {netserver: 5}\nif role server:\n  netserver:\n"
    (script,) = lab.nodes(job(text))["one"]["scripts"]
    assert (script["ready"], script["timeout"]) == ({"port": 5}, 5)


# Documents, lists, references, includes


def test_only_declared_lists_expand(lab: JobLab) -> None:
    text = """
    cluster: pair
    nodes: [a, b]
    runtime: [1m, 2m]
    if role server:
      fs: [ext4, xfs]
      netserver: {flags: [x, y]}
    if role client:
      netperf: {test: [A, B], other: [c, d]}
    """
    plan = lab.plan(text)
    assert [tuple(run["params"].values()) for run in plan["runs"]] == [
        (runtime, fs, test) for runtime in ("1m", "2m") for fs in ("ext4", "xfs") for test in ("A", "B")
    ]
    server, client = plan["runs"][-1]["nodes"]
    assert server["env"]["nodes"] == "a\nb" and server["env"]["runtime"] == "120"
    assert server["scripts"][0]["args"] == ["xfs"] and server["scripts"][1]["env"] == {"flags": "x\ny"}
    assert client["scripts"][0]["env"] == {"test": "B", "other": "c\nd"}


def test_lists_in_what_is_for_other_tools_make_no_runs(lab: JobLab) -> None:
    text = """
    cluster: pair
    pp: {netperf: {test: [A, B]}}
    define_files: {script tests/other: "# - size"}
    monitors: {test: [A, B]}
    size: [1, 2]
    timeout: {netperf: 5}
    if role server:
      netperf: {test: C}
      other:
    """
    (run,) = lab.plan(text)["runs"]
    assert run["params"] == {} and script_ids(run["nodes"][0]) == ["test-netperf"]
    plan = lab.plan(text, params="test=D netperf=5")
    (run,) = plan["runs"]
    assert [warning for warning in plan["warnings"] if warning.startswith("params")] == []
    assert run["params"] == {"test": "D", "netperf": 5}
    assert run["nodes"][0]["job"]["pp"] == {"netperf": {"test": ["A", "B"]}}


def test_an_inline_script_of_another_role(lab: JobLab) -> None:
    text = "if role client:\n  script tests/foo: x\nif role server:\n  foo: [1, 2]\n"
    runs = lab.plan(job(text))["runs"]
    assert [run["nodes"][0]["scripts"][0]["args"] for run in runs] == [["1"], ["2"]]
    script = runs[0]["nodes"][0]["scripts"][0]
    assert (script["name"], script["kind"], script["path"], script["content"]) == ("foo", "test", None, "x")


KINDS_OF_ONE_NAME = """
ready: {foo: {port: 80}}
if role server:
  script daemon/foo: |
    #!/bin/sh
    # - size

  foo: {size: [1, 2]}
if role client:
  script monitors/foo: beside
  foo:
"""


def test_inline_scripts_of_one_name_have_each_the_kind_of_their_own_block(lab: JobLab) -> None:
    plan = lab.plan(job(KINDS_OF_ONE_NAME))
    assert [run["params"] for run in plan["runs"]] == [{"size": 1}, {"size": 2}]
    (daemon,), (monitor,) = (node["scripts"] for node in plan["runs"][0]["nodes"])
    assert (daemon["id"], daemon["kind"], daemon["ready"]) == ("daemon-foo", "daemon", {"port": 80})
    assert daemon["content"].startswith("#!/bin/sh")
    assert (monitor["id"], monitor["kind"], monitor["ready"]) == ("monitor-foo", "monitor", None)
    assert monitor["content"] == "beside"


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        # Where a node has not come by any of them, and where it has come by several, it is the last.
        ("if role client:\n  script daemon/foo: d\n  script tests/foo: t\nif role server:\n  foo:\n", ["test-foo"]),
        ("if role server:\n  script tests/foo: t\n  script daemon/foo: d\n  foo:\n", ["daemon-foo"]),
        ("script tests/foo: t\nif role server:\n  script daemon/foo: d\n  foo:\n", ["daemon-foo"]),
        ("if role server:\n  foo:\n  script daemon/foo: d\nif role client:\n  script tests/foo: t\n", ["daemon-foo"]),
        # A kind before the name means the one of that kind, wherever it is.
        ("if role server:\n  script tests/foo: t\n  script daemon/foo: d\n  test.foo:\n", ["test-foo"]),
        (
            "if role client:\n  script tests/foo: t\n  script daemon/foo: d\nif role server:\n  test.foo:\n",
            ["test-foo"],
        ),
        ("if role server:\n  script tests/foo: t\n  script daemon/foo: d\n  daemon.foo:\n  test.foo:\n", None),
    ],
)
def test_which_of_several_inline_scripts_of_one_name_is_meant(
    lab: JobLab, blocks: str, expected: list[str] | None
) -> None:
    node = lab.nodes(job(blocks))["one"]
    assert script_ids(node) == (expected or ["daemon-foo", "test-foo"])
    assert [script["content"] for script in node["scripts"]] == [name[0] for name in script_ids(node)]


def test_options_are_those_of_the_scripts_that_the_job_names(lab: JobLab) -> None:
    assert len(lab.plan(job("test: [a, b]\nif role server:\n  netserver:\n"))["runs"]) == 1
    assert len(lab.plan(job("test: [a, b]\nif role server:\n  netperf:\n"))["runs"]) == 2


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("  top: {level: [1, 2]}\n", [{}]),
        ("  top: [1, 2]\n", [{}]),
        ("  monitor.top: [1, 2]\n", [{}]),
        ("  top:\nlevel: [1, 2]\n", [{}]),
        ("  top: {test: [A, B]}\n  netperf:\n", [{"test": "A"}, {"test": "B"}]),
        ("  own: {depth: [1, 2]}\n  script monitors/own: |\n    # - depth\n", [{}]),
        ("  both: [1, 2]\n", [{"both": 1}, {"both": 2}]),
        ("  monitor.both: [1, 2]\n", [{}]),
    ],
)
def test_lists_of_monitors_make_no_runs(lab: JobLab, text: str, params: list[dict[str, t.Any]]) -> None:
    lab.scripts("monitors/top", options=["level"])
    lab.scripts("programs/both/run", "programs/both/monitor")
    assert [run["params"] for run in lab.plan(job(f"if role server:\n{text}"))["runs"]] == params


def test_a_monitor_has_no_arguments_of_a_list(lab: JobLab) -> None:
    (script,) = lab.nodes(job("if role server:\n  iostat: [1, 2]\n"))["one"]["scripts"]
    assert (script["args"], script["env"]) == ([], {})


@pytest.mark.parametrize(
    ("header", "expands"),
    [
        ("#!/bin/sh\n# - size\n", True),
        ("#!/bin/sh\n# = size\n", True),
        ("#!/bin/sh\n# about it\n# - other\n# - size\n", True),
        ("#!/bin/sh\n\n# - size\n", False),
        ("#!/bin/sh\n# - size of it\n", False),
        ("#!/bin/sh\n#- size\n", False),
        ("", False),
        ("\x7fELF\n# - other\n", False),
    ],
)
def test_header_of_a_script(lab: JobLab, header: str, expands: bool) -> None:
    lab.write("tree/tests/foo", header.encode(), executable=True)
    runs = lab.plan(job("if role server:\n  foo: {size: [1, 2]}\n"))["runs"]
    assert [run["params"] for run in runs] == ([{"size": 1}, {"size": 2}] if expands else [{}])


def test_an_empty_list_is_an_empty_value(lab: JobLab) -> None:
    (run,) = lab.plan(job("if role server:\n  fs: []\n"))["runs"]
    assert run["params"] == {"fs": None} and run["nodes"][0]["scripts"][0]["args"] == []


def test_the_same_option_in_two_places_is_named_in_full(lab: JobLab) -> None:
    text = "if role server:\n  fs: [ext4]\n  netperf: {test: [A]}\nif role client:\n  fs: [nfs]\n"
    (run,) = lab.plan(job(text))["runs"]
    assert run["params"] == {"server.fs": "ext4", "test": "A", "client.fs": "nfs"}
    (run,) = lab.plan(job(text), params={"client.fs": "xfs"})["runs"]
    assert run["params"] == {"server.fs": "ext4", "test": "A", "client.fs": "xfs"}
    (run,) = lab.plan(job(text), params={"fs": "nfs"})["runs"]
    assert run["params"] == {"server.fs": "ext4", "test": "A", "client.fs": "nfs"}
    (run,) = lab.plan(job(text), params={"fs": "btrfs"})["runs"]
    assert run["params"] == {"server.fs": "btrfs", "test": "A", "client.fs": "btrfs"}


def test_documents_are_merged_onto_the_first(lab: JobLab) -> None:
    text = """
    cluster: pair
    a: 1
    if role server:
      netserver: {x: 1}
      netperf:
    ---
    a: 2
    if role  server :
      netserver: {y: 2}
    ---
    ---
    b: 3
    """
    runs = lab.plan(text)["runs"]
    assert [(run["nodes"][0]["env"], script_ids(run["nodes"][0])) for run in runs] == [
        ({"cluster": "pair", "a": "1"}, ["daemon-netserver", "test-netperf"]),
        ({"cluster": "pair", "a": "2"}, ["daemon-netserver"]),
        ({"cluster": "pair", "a": "1", "b": "3"}, ["daemon-netserver", "test-netperf"]),
    ]
    assert runs[1]["nodes"][0]["scripts"][0]["env"] == {"y": "2"}


def test_a_document_without_roles_makes_no_run(lab: JobLab) -> None:
    plan = lab.plan("cluster: pair\nsize: 1\n---\nif role server:\n  netserver:\nif role client:\n")
    assert [(run["number"], run["nodes"][0]["env"]["size"]) for run in plan["runs"]] == [(1, "1")]
    assert plan["warnings"] == [
        f'{lab.folder}/jobs/job.yaml, line 1: a document without an "if role X:" block makes no run.'
    ]


def test_comments_of_saved_jobs_are_left_out(lab: JobLab) -> None:
    text = 'cluster: pair\n":#! jobs/netperf.yaml":\nif role server:\n  netserver:\nif role client:\n'
    plan = lab.plan(text)
    assert plan["warnings"] == [] and plan["runs"][0]["nodes"][0]["env"] == {"cluster": "pair"}


def test_params_that_the_job_does_not_have_become_variables(lab: JobLab) -> None:
    plan = lab.plan(job("runtime: 5m\nif role server:\n  netperf:\nif role client:\n"), params="runtme=1m")
    assert plan["warnings"] == ['params: the job has no "runtme"; set as a variable. Did you mean runtime?']
    assert plan["runs"][0]["nodes"][0]["env"] == {"cluster": "pair", "runtime": "300", "runtme": "1m"}
    assert plan["runs"][0]["params"] == {"runtme": "1m"}


@pytest.mark.parametrize("value", [5, [5, 6]])
def test_params_replace_a_mapping_with_all_that_is_in_it(lab: JobLab, value: t.Any) -> None:
    text = job("a: {a: {a: 1}, b: 2}\nif role server:\n  netperf: {a: 1}\n  b: {c: {a: 2}}\n")
    node = lab.nodes(text, params={"a": value})["one"]
    assert (node["job"]["a"], node["job"]["b"]) == (value, {"c": {"a": value}})
    assert environment(node, "test-netperf")["a"] == "\n".join(map(str, [value] if value == 5 else value))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("server", " Did you mean netserver?"),
        ("role.server", " Did you mean netserver?"),
        ("client", ""),
        ("conf", ""),
        ("sh", ""),
    ],
)
def test_params_do_not_name_blocks_or_inline_scripts(lab: JobLab, name: str, near: str) -> None:
    text = job("script tests/a.sh: x\nif test -e a.conf:\n  netperf:\nif role server:\n  netserver:\nif role client:\n")
    plan = lab.plan(text, params=f"{name}=1")
    assert plan["warnings"][0] == f'params: the job has no "{name}"; set as a variable.{near}'
    assert plan["runs"][0]["params"] == {name: "1"}
    assert script_ids(plan["runs"][0]["nodes"][0]) == ["test-netperf", "daemon-netserver"]


THREE_DOCUMENTS = """
cluster: pair
peers: [a, b]
nr_threads: [1, yes]
if role client:
  netperf: {test: [A, B]}
---
peers: [c]
nr_threads: 5
late: 1
---
if role client:
  netperf: {test: A, nr_threads: 7}
"""


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        # Documents that do not offer a value which others offer make no runs.
        ("nr_threads=5", [("c", "5", "A", "1"), ("c", "5", "B", "1")]),
        ("nr_threads=true test=A", [("a\nb", "true", "A", None), ("a\nb", "7", "A", None)]),
        ({"nr_threads": True, "test": "B"}, [("a\nb", "true", "B", None)]),
        ("nr_threads=7", [("a\nb", "7", "A", None), ("a\nb", "7", "A", None)]),
        ("late=1 test=B", [("c", "5", "B", "1")]),
        ({"nr_threads": [1, 5], "test": "B"}, [("a\nb", "1", "B", None), ("c", "5", "B", "1")]),
        # Lists that do not expand offer nothing, nor do scripts with parameters.
        ("peers=a nr_threads=5 test=A", [("a", "5", "A", "1")]),
        ({"peers": ["a", "d"], "nr_threads": 5, "test": "A"}, [("a\nd", "5", "A", "1")]),
        ("late=2 nr_threads=5 test=A", [("c", "5", "A", "2")]),
        ("late=2 nr_threads=1 test=A", [("a\nb", "1", "A", "2"), ("a\nb", "7", "A", "2")]),
        ("netperf='test=A' nr_threads=5", [("c", "5", None, "1")]),
    ],
)
def test_params_with_several_documents(lab: JobLab, params: t.Any, expected: list[tuple[str | None, ...]]) -> None:
    plan = lab.plan(THREE_DOCUMENTS, params=params)
    assert [warning for warning in plan["warnings"] if warning.startswith("params")] == []
    found = [environment(run["nodes"][0], "test-netperf") for run in plan["runs"]]
    assert [tuple(env.get(name) for name in ("peers", "nr_threads", "test", "late")) for env in found] == expected


@pytest.mark.parametrize(
    ("params", "near"), [("lat=2", " Did you mean late?"), ("peer=2", " Did you mean peers?"), ("xyz=2", "")]
)
def test_names_that_no_document_has(lab: JobLab, params: str, near: str) -> None:
    name = params.partition("=")[0]
    plan = lab.plan(THREE_DOCUMENTS, params=params)
    (warning,) = [warning for warning in plan["warnings"] if warning.startswith("params")]
    assert warning == f'params: the job has no "{name}"; set as a variable.{near}'
    assert [run["nodes"][0]["env"][name] for run in plan["runs"]] == ["2"] * 8


PICKED = """
cluster: pair
if role server:
  netserver: {test: X}
  fs: [ext4, xfs]
if role client:
  netperf: {test: [A, B], nr_threads: [1, 50%, 2]}
  sleep: {test: [B, C]}
"""


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        # A value that a list offers is picked there, and only there.
        ("test=A", [("A", "B"), ("A", "C")]),
        ("test=B", [("B", "B")]),
        ("test=C", [("A", "C"), ("B", "C")]),
        ({"test": ["B", "C"]}, [("B", "B"), ("B", "C")]),
        ({"test": ["A", "C"]}, [("A", "C")]),
        ("netperf.test=B", [("B", "B"), ("B", "C")]),
        ("client.netperf.test=B test=C", [("B", "C")]),
        # One that none offers is set everywhere.
        ("test=Z", [("Z", "Z")]),
        ("netperf.test=Z", [("Z", "B"), ("Z", "C")]),
        ({"netperf.test": ["Y", "Z"], "sleep.test": "B"}, [("Y", "B"), ("Z", "B")]),
        ({"test": []}, [(None, None)]),
        # X is a single value of one script; the lists stay as they are.
        ("test=X", [("A", "B"), ("A", "C"), ("B", "B"), ("B", "C")]),
        # Half a name is none.
        ("est=A", [("A", "B"), ("A", "C"), ("B", "B"), ("B", "C")]),
        ("server.netperf.test=A", [("A", "B"), ("A", "C"), ("B", "B"), ("B", "C")]),
    ],
)
def test_values_that_are_picked_and_set(lab: JobLab, params: t.Any, expected: list[tuple[t.Any, ...]]) -> None:
    fixed = {**(parse_params(params)), "fs": "xfs", "nr_threads": 2}
    runs = lab.plan(PICKED, params=fixed)["runs"]
    assert [(run["params"]["client.netperf.test"], run["params"]["client.sleep.test"]) for run in runs] == expected
    assert [tuple(script["env"]["test"] or None for script in run["nodes"][1]["scripts"]) for run in runs] == expected
    for run in runs:
        assert (run["params"]["fs"], run["params"]["nr_threads"]) == ("xfs", 2)
        assert run["nodes"][0]["scripts"][0]["args"] == ["xfs"]


@pytest.mark.parametrize("reference", ["{{ base }}", "{{base}}", '"{{ base }}"', "<%= base %>", '"<%= base %>"'])
def test_references_to_keys_of_the_job(lab: JobLab, reference: str) -> None:
    text = job(
        f"base: 5\nif role server:\n  netperf: {{test: [x]}}\n  netserver:\n    own: {reference}\nother: {reference}\n"
    )
    node = lab.nodes(text)["one"]
    assert environment(node, "daemon-netserver")["own"] == "5" and node["env"]["other"] == "5"


def test_references_in_inline_scripts_are_those_in_angle_brackets(lab: JobLab) -> None:
    text = """
    cluster: pair
    base: 5
    script tests/first: |
      echo <%= base %> {{ base }} {{ unknown }} {{ not ours }}
    if role server:
      first: "{{ base }}"
      script  daemon/second: echo {{base}} <%=base%>
      second: {own: "{{ base }}", more: {inner: "<%= base %>"}}
    """
    first, second = lab.nodes(text)["one"]["scripts"]
    assert first["content"] == "echo 5 {{ base }} {{ unknown }} {{ not ours }}\n"
    assert second["content"] == "echo {{base}} 5"
    assert (first["args"], second["env"]) == (["5"], {"own": "5", "inner": "5"})


def test_a_reference_to_a_list_follows_it(lab: JobLab) -> None:
    text = job('runtime: [1, 2]\nlog: "/tmp/{{ runtime }}.log"\nif role server:\n  netperf:\n')
    assert [run["nodes"][0]["env"]["log"] for run in lab.plan(text)["runs"]] == ["/tmp/1.log", "/tmp/2.log"]


def test_includes(lab: JobLab) -> None:
    lab.write("jobs/common.yaml", "a: 1\nb: 1\n<< : more/deep.yaml\n")
    lab.write("jobs/more/deep.yaml", "c: 1\n<< : beside.yaml\n")
    lab.write("jobs/more/beside.yaml", "d: 1\n")
    lab.write("tree/jobs/shared.yaml", "netserver: {port: 5}\n")
    text = """
    cluster: pair
    b: 0
    << : common.yaml
    a: 2
    if role server:
      << : shared.yaml
    """
    node = lab.nodes(text)["one"]
    assert node["env"] == {"cluster": "pair", "b": "1", "a": "2", "c": "1", "d": "1"}
    assert node["scripts"][0]["env"] == {"port": "5"}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("netpref", "", "exported as a variable. Did you mean netperf?"),
        ("netpref", " {test: TCP_RR}", "exported as a variable. Did you mean netperf?"),
        ("netpref", " 5", "exported as a variable. Did you mean netperf?"),
        ("iperf-serve", "", "left out, as no variable can have that name either. Did you mean iperf-server?"),
        ("something_else", "", "exported as a variable."),
        ("something_else", " 5", None),
        ("something_else", " {a: 1}", "exported as a variable."),
        ("netpipe", "", "exported as a variable. Did you mean netperf?"),
        ("netpipe", " 5", None),
        ("netpipe", " {a: 1}", "exported as a variable. Did you mean netperf?"),
        ("something-else", " 5", "left out, as no variable can have that name either."),
        ("testcase", "", None),
        ("runtime", "", None),
        ("nr-runtime", "", "left out, as no variable can have that name either."),
    ],
)
def test_warnings_of_scripts_that_are_not_there(lab: JobLab, key: str, value: str, expected: str | None) -> None:
    plan = lab.plan(job(f"if role server:\n  netperf:\n  {key}:{value}\nif role client:\n"))
    where = f"{lab.folder}/jobs/job.yaml, line 4: {key}: no script of that name under {lab.folder}/jobs or {lab.tree}; "
    assert plan["warnings"] == ([where + expected] if expected else [])


def test_descriptions_of_a_job_are_no_scripts_that_are_missing(lab: JobLab) -> None:
    names = ["suite", "testcase", "category", "queue", "testbox", "os", "os_arch", "os_version", "os_mount", "ip"]
    plan = lab.plan(job("".join(f"{name}:\n" for name in names) + "if role server:\nif role client:\n"))
    assert plan["warnings"] == []
    assert plan["runs"][0]["nodes"][0]["env"] == {"cluster": "pair", **dict.fromkeys(names, "")}


def test_only_so_many_names_are_compared(lab: JobLab) -> None:
    text = "netpref:\n" + "".join(f"sleep{number}:\n" for number in range(300))
    plan = lab.plan(job(f"{text}if role server:\n  netpref:\nif role client:\n"))
    assert len(plan["warnings"]) == 302
    helped = [warning for warning in plan["warnings"] if "Did you mean" in warning]
    others = [warning for warning in plan["warnings"] if warning not in helped]
    assert [warning for warning in others if not warning.endswith("; exported as a variable.")] == []
    assert [" netpref: " in warning for warning in helped] == [True, *[False] * 199, True]


@pytest.mark.parametrize("value", ["", " 5", " {a: 1}", " [1, 2]"])
@pytest.mark.parametrize("key", ["netpref", "net-pref"])
def test_a_file_that_is_not_executable_is_refused_whatever_the_value(lab: JobLab, key: str, value: str) -> None:
    lab.write(f"tree/tests/{key}", "#!/bin/sh\n")
    with pytest.raises(InputError, match=f'line 3, key "{key}": names .*/tests/{key}, which is not executable'):
        lab.plan(job(f"if role server:\n  {key}:{value}\nif role client:\n"))


def test_the_saved_job_keeps_what_a_role_sets_wherever_it_stands(lab: JobLab) -> None:
    text = """
    cluster: pair
    if role server:
      x: 1
      y: {a: 1}
      same: 5
      if role server:
        w: 1
      w: 2
    if role client:
      x: 3
    x: 2
    y: {a: 2}
    same: 5
    """
    one, two = (node["job"] for node in lab.nodes(text).values())
    assert {key: one[key] for key in ("x", "server.x", "y", "server.y", "same")} == {
        "x": 2,
        "server.x": 1,
        "y": {"a": 2},
        "server.y": {"a": 1},
        "same": 5,
    }
    assert (one["w"], one["server.w"]) == (2, 1) and "server.same" not in one
    assert (two["x"], two["client.x"]) == (2, 3) and "server.x" not in two


def test_the_job_of_a_node_holds_the_blocks_of_its_roles(lab: JobLab) -> None:
    lab.cluster("nodes: {one: {roles: [server, client]}, two: {roles: [client]}}")
    text = """
    cluster: pair
    cluster_spec: {nodes: {one: {roles: [server, client]}, two: {roles: [client]}}}
    x: 1
    y: {a: 1}
    if [ -e a ]:
      if role server:
        disk: 1HDD
      if role client:
        fs: ext4
    if role server:
      x: 2
      y: {a: 1}
      z: 3
      netserver: {a: {b: 1}}
      if role client:
        w: 5
      if role spare:
        w: 6
    if role client:
      z: 4
      x: 3
    """
    one, two = (list(node["job"].items()) for node in lab.nodes(text).values())
    common = [("cluster", "pair"), ("x", 1), ("y", {"a": 1})]
    of_server = [("server.x", 2), ("z", 3), ("netserver", {"a": {"b": 1}}), ("w", 5)]
    given = one.index(("submission_id", SUBMISSION))
    assert one[:given] == [
        *common,
        ("if [ -e a ]", {"disk": "1HDD", "fs": "ext4"}),
        *of_server,
        ("client.z", 4),
        ("client.x", 3),
    ]
    given = two.index(("submission_id", SUBMISSION))
    assert two[:given] == [*common, ("if [ -e a ]", {"fs": "ext4"}), ("z", 4), ("client.x", 3)]


def test_each_node_has_a_job_of_its_own(lab: JobLab) -> None:
    lab.cluster(TWO_NODES.replace("client", "server"))
    one, two = lab.nodes(job("x: {a: 1}\nif role server:\n  netserver: {y: 1}\n")).values()
    assert [node["job"]["node"] for node in (one, two)] == ["one", "two"]
    assert [node["job"]["direct_ips"] for node in (one, two)] == ["192.168.222.1", "192.168.222.2"]
    for node in (one, two):
        assert node["job"]["x"] == {"a": 1} and node["scripts"][0]["env"] == {"y": "1"}
        assert node["job"]["id"] == node["job_id"] and node["job"]["cluster_id"] == "20261123T181530-k3f9.1"
        assert node["job"]["netserver"] == {"y": 1} and "cluster_spec" not in node["job"]


def test_a_whole_plan(lab: JobLab) -> None:
    lab.cluster(
        """
        ip0: 5
        vm--1: {roles: [server], macs: ["02:00:00:00:00:01", "02:00:00:00:00:02"]}
        b: {roles: [spare]}
        vm--2: {roles: [client, extra], macs: ["02:00:00:00:00:03"]}
        """
    )
    text = """
    cluster: pair
    runtime: 5m
    nr_threads: 50%
    if role server:
      netserver: -D
    if role client:
      netperf: {test: [A], nr_threads: 10%}
    """
    plan = lab.plan(text, mtu=9000)
    where = str(lab.tree)
    common = {"submission_id": SUBMISSION, "cluster_id": f"{SUBMISSION}.1", "queue": "vm", "testbox": "vm"}
    of_job = {**common, "cluster": "pair", "runtime": "5m", "nr_threads": "50%"}
    variables = {"env": {"cluster": "pair", "runtime": "300"}, "cpu_shares": {"nr_threads": 50.0}}
    assert plan == {
        "submission_id": SUBMISSION,
        "job": f"{lab.folder}/jobs/job.yaml",
        "warnings": [
            f'{lab.tree}/cluster/pair: left out of cluster "pair", as they have no role of the job (server, client): b.'
        ],
        "runs": [
            {
                "cluster_id": f"{SUBMISSION}.1",
                "number": 1,
                "params": {"test": "A"},
                "cluster": "pair",
                "roles": ["server", "client"],
                "script_roots": [where],
                "nodes": [
                    {
                        "node": "vm--1",
                        "job_id": f"{SUBMISSION}.1.1",
                        "roles": ["server"],
                        "node_roles": "server",
                        **variables,
                        "scripts": [
                            {
                                "id": "daemon-netserver",
                                "name": "netserver",
                                "kind": "daemon",
                                "root": where,
                                "path": "daemon/netserver",
                                "content": None,
                                "args": ["-D"],
                                "env": {},
                                "cpu_shares": {},
                                "ready": None,
                                "timeout": None,
                            }
                        ],
                        "direct_macs": ["02:00:00:00:00:01", "02:00:00:00:00:02"],
                        "direct_ips": ["192.168.222.5", "192.168.222.6"],
                        "direct_prefixes": [24, 24],
                        "direct_links": [
                            {"mac": "02:00:00:00:00:01", "ip": ["192.168.222.5/24"], "mtu": 9000},
                            {"mac": "02:00:00:00:00:02", "ip": ["192.168.222.6/24"], "mtu": 9000},
                        ],
                        "queue": "vm",
                        "testbox": "vm",
                        "nr_nic": 2,
                        "job": {
                            **of_job,
                            "netserver": "-D",
                            "id": f"{SUBMISSION}.1.1",
                            "node": "vm--1",
                            "node_roles": "server",
                            "direct_macs": "02:00:00:00:00:01 02:00:00:00:00:02",
                            "direct_ips": "192.168.222.5 192.168.222.6",
                            "nr_nic": 2,
                        },
                    },
                    {
                        "node": "vm--2",
                        "job_id": f"{SUBMISSION}.1.2",
                        "roles": ["client", "extra"],
                        "node_roles": "client extra",
                        "env": {"cluster": "pair", "runtime": "300"},
                        "cpu_shares": {"nr_threads": 50.0},
                        "scripts": [
                            {
                                "id": "test-netperf",
                                "name": "netperf",
                                "kind": "test",
                                "root": where,
                                "path": "tests/netperf",
                                "content": None,
                                "args": [],
                                "env": {"test": "A"},
                                "cpu_shares": {"nr_threads": 10.0},
                                "ready": None,
                                "timeout": None,
                            }
                        ],
                        "direct_macs": ["02:00:00:00:00:03"],
                        "direct_ips": ["192.168.222.7"],
                        "direct_prefixes": [24],
                        "direct_links": [{"mac": "02:00:00:00:00:03", "ip": ["192.168.222.7/24"], "mtu": 9000}],
                        "queue": "vm",
                        "testbox": "vm",
                        "nr_nic": 1,
                        "job": {
                            **of_job,
                            "netperf": {"test": "A", "nr_threads": "10%"},
                            "id": f"{SUBMISSION}.1.2",
                            "node": "vm--2",
                            "node_roles": "client extra",
                            "direct_macs": "02:00:00:00:00:03",
                            "direct_ips": "192.168.222.7",
                            "nr_nic": 1,
                        },
                    },
                ],
            }
        ],
    }


def test_machines_that_are_left_out_are_named_up_to_a_number(lab: JobLab) -> None:
    for number in (10, 11):
        names = [f"n{index}" for index in range(number)]
        lab.cluster("one: {roles: [server]}\n" + "".join(f"{name}: {{roles: [spare]}}\n" for name in names))
        assert lab.plan(job("if role server:\n"))["warnings"] == [
            f'{lab.tree}/cluster/pair: left out of cluster "pair", as they have no role of the job (server): '
            + ", ".join(names[:10])
            + ("." if number == 10 else ", ....")
        ]


def test_a_large_cluster(lab: JobLab) -> None:
    lines = [f"n--{number}: {{roles: [{'server' if number % 10 == 0 else 'client'}]}}" for number in range(2000)]
    lab.cluster("\n".join(lines))
    (run,) = lab.plan(job("if role server:\n  netserver:\nif role client:\n  netperf:\n"))["runs"]
    assert [node["node"] for node in run["nodes"]] == [f"n--{number}" for number in range(2000)]
    assert len({node["job_id"] for node in run["nodes"]}) == 2000


def test_folders_of_a_submission(lab: JobLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(lab.folder))
    lab.write("other/pair", "elsewhere: {roles: [server]}")
    text = job("if role server:\n  netserver:\n")
    assert list(lab.nodes(text, script_paths="~/tree")) == ["one"]
    assert list(lab.nodes(text, script_paths=["~/tree"], cluster_paths="~/other")) == ["elsewhere"]
    assert list(lab.nodes(text, cluster_paths=["~/other"], cluster="~/tree/cluster/pair")) == ["one"]
    assert list(lab.nodes(text, script_paths=[], cluster_paths=["~/other"])) == ["elsewhere"]
    assert list(lab.nodes(text, script_paths=None, cluster_paths=["~/other"])) == ["elsewhere"]
    assert lab.error(text, cluster_paths=None, cluster="none") == (
        f'cluster: no cluster file "none" in {lab.folder}/jobs, cluster, {lab.tree}/cluster.'
    )
    with pytest.raises(InputError, match=r"^submission_id 'a b': only letters"):
        plan_submission("job.yaml", submission_id="a b")


def test_paths_relative_to_the_current_folder(lab: JobLab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write("jobs/job.yaml", job("if role server:\n  netserver:\n"))
    monkeypatch.chdir(lab.folder / "jobs")
    plan = plan_submission("job.yaml", submission_id="s", script_paths=["../tree"])
    assert plan["job"] == "job.yaml" and plan["runs"][0]["script_roots"] == [str(lab.tree)]


def types_in(value: t.Any) -> set[type]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {type(value), *(map(type, value) if isinstance(value, dict) else ())}.union(*map(types_in, inner))


def test_the_plan_is_plain_data(lab: JobLab) -> None:
    class Tagged(str):
        """A text as Ansible hands it over."""

    lab.scripts("programs/foo/setup", "programs/foo/monitor")
    text = job("if role server:\n  netserver:\n  foo:\n  netperf: [{test: A}, {test: {a: b}}]\n")
    plan = lab.plan(text, params={"x": Tagged("y"), "z": [1, 2.5, True, None]})
    assert plan["runs"][1]["params"] == {"netperf": {"test": {"a": "b"}}, "x": "y", "z": [1, 2.5, True, None]}
    assert types_in(plan) <= {dict, list, str, int, float, bool, type(None)}
