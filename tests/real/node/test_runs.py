# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole runs over ssh in which something goes wrong: what the summary tells of each node, and that nothing is left."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import textwrap
import time
import typing as t
from pathlib import Path

import pytest

from support.plays import Play, marked_processes
from support.sites import Site, new_site
from support.waiting import wait_until

NODES = {"server-1": ["server"], "client-1": ["client"]}
JOB = """\
if role server:
  serve:
if role client:
  work:
"""
# It says something when all of it runs.
FORKS_AND_EXITS = "setsid sh -c 'trap \"\" TERM; sleep 600 & sleep 600' & setsid env -i sleep 600 & echo here; exit 0"
NOTHING_SEEN = "; it could not be reached at the end, and cleans itself when its lease is over"
# Between one machine and another on a busy computer; without what the test is about it would be minutes.
SOON = 8
ENDED = "the controller's ansible-playbook ended before the run did"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Site]:
    """Two machines that are reached over ssh. All of the tests use them; what one leaves spoils the next."""
    if os.geteuid() != 0:
        pytest.skip("machines are reached over ssh, cut off and looked into only by root")
    with new_site(tmp_path_factory.mktemp("site"), NODES, ssh=True) as here:
        yield here


@pytest.fixture(autouse=True)
def ended(site: Site) -> t.Iterator[None]:
    """A test that fails leaves no play in the way of the next."""
    yield
    while site.plays:
        site.plays.pop().end()


def start(site: Site, serve: str, work: str, *, job: str = JOB, **variables: t.Any) -> Play:
    """A run with a daemon on the server and a test on the client."""
    number = next(_numbers)
    folder = site.folder / f"job-{number}"
    for name, content in (("daemon/serve", serve), ("tests/work", work), ("setup/prepare", "exit 0")):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{content}\n")
        path.chmod(0o755)
    (folder / "job.yaml").write_text(job)
    settings: dict[str, t.Any] = {"multidevice_cluster": str(site.lab.cluster_file), "multidevice_slice": 2}
    # Two runs cannot have the same address on one card at the same time.
    settings["multidevice_direct_network"] = f"10.99.{number}.0/24"
    return site.start(folder / "job.yaml", variables={**settings, **variables})


def check(site: Site, play: Play, reason: str | None, *, seconds: float = 10, **nodes: str) -> dict[str, t.Any]:
    """The result, its reason, one sentence for each node, and clean machines. Returns the run's summary."""
    run = summary_of(play)
    told = {name.replace("-", "_"): node["text"] for name, node in run["nodes"].items()}
    assert (run["reason"]["text"] if run["reason"] else None) == reason, play.output
    assert told.keys() == nodes.keys()
    for name, text in nodes.items():
        head, dots, tail = text.partition("…")
        assert told[name] == text if not dots else told[name].startswith(head) and told[name].endswith(tail), told
    site.assert_clean(play, seconds=seconds)
    return run


def summary_of(play: Play) -> dict[str, t.Any]:
    """That of its one run; whoever ends ansible-playbook leaves the writing to others."""
    wait_until("the summary", lambda: any(play.results.glob("*/summary.json")), 20)
    run: dict[str, t.Any] = play.summary["runs"][0]
    return run


def output_of(play: Play, node: str, script: str) -> bytes:
    return (play.submission / "runs" / "1" / "nodes" / node / script / "stdout").read_bytes()


def wait_for_test(site: Site, play: Play) -> None:
    site.wait_for_script(play, "client-1", "test-work", 90)


# Six submissions at a time on the same machines, each with addresses of its own on the same cards: none touches another's.
AT_ONCE: dict[str, dict[str, t.Any]] = {
    "forked-away daemon, test that forks children and exits": {
        "serve": "(setsid sleep 600 &); echo forked; exit 0",
        "work": FORKS_AND_EXITS,
        "reason": None,
        "server_1": "daemon serve served until the end",
        "client_1": "test work ended with success",
    },
    "foreground daemon, 200 MB, binary, standard input": {
        "serve": "printf '\\000\\377\\033[31m\\n'; exec sleep 600",
        "work": "cat; head -c 200M /dev/zero; printf '\\000\\377'",
        "variables": {"multidevice_results_limit": 5 * 1048576},
        "reason": None,
        "server_1": "daemon serve served until the end",
        "client_1": "test work ended with success",
    },
    "daemon that dies in the middle": {
        "serve": "(setsid sh -c 'until [ -e /tmp/die ]; do sleep 0.1; done; echo no memory >&2; exit 9' &); exit 0",
        "work": "trap '' TERM; touch /tmp/works; while :; do sleep 1; done",
        "reason": "daemon serve ended during the run with exit code 9: no memory",
        "server_1": "daemon serve ended during the run with exit code 9: no memory",
        "client_1": "test work was stopped … s after the run was aborted",
    },
    "test that fails": {
        "serve": "exec sleep 600",
        "work": "echo begun; echo no such file >&2; exit 3",
        "reason": "test script work ended with exit code 3: no such file",
        "server_1": "daemon serve was stopped …the run was aborted",
        "client_1": "test script work ended with exit code 3: no such file",
    },
    "script timeout": {
        "serve": "exec sleep 600",
        "work": "trap '' TERM; echo half way; while :; do sleep 1; done",
        "job": JOB + "timeout:\n  work: 1\n",
        "reason": "test script work timed out after 1 s: half way",
        "server_1": "daemon serve was stopped …the run was aborted",
        "client_1": "test script work timed out after 1 s: half way",
    },
    "run timeout": {
        "serve": "exec sleep 600",
        "work": "exec sleep 600",
        "variables": {"multidevice_run_timeout": 30},
        "reason": "the run did not end within 30 s",
        "server_1": "daemon serve was stopped …the run was aborted",
        "client_1": "test work was stopped …the run was aborted",
    },
}


def test_several_runs_at_once(site: Site) -> None:
    plays = {
        name: start(site, case["serve"], case["work"], job=case.get("job", JOB), **case.get("variables", {}))
        for name, case in AT_ONCE.items()
    }
    dies = plays["daemon that dies in the middle"]
    wait_until("its test runs", lambda: goes_on(dies) and holds(site, "client-1", ["test", "-e", "/tmp/works"]), 120)
    site.lab.exec("server-1", ["touch", "/tmp/die"])
    for play in plays.values():
        play.wait(180)
    site.lab.exec("server-1", ["rm", "/tmp/die"])
    site.lab.exec("client-1", ["rm", "/tmp/works"])
    for name, case in AT_ONCE.items():
        assert plays[name].process.returncode == (0 if case["reason"] is None else 2), plays[name].output
        check(site, plays[name], case["reason"], server_1=case["server_1"], client_1=case["client_1"])

    large = plays["foreground daemon, 200 MB, binary, standard input"]
    assert len(output_of(large, "client-1", "test-work")) == 1048576
    assert output_of(large, "client-1", "test-work").endswith(b"\0\0\377")
    assert output_of(large, "server-1", "daemon-serve") == b"\0\377\033[31m\n"
    note = "test-work/stdout: cut to its last 1048576 of 209715202 bytes, the limit for a node is 5242880 bytes"
    assert summary_of(large)["nodes"]["client-1"]["notes"] == [note]
    assert f"client-1: {note}" in large.output

    stopped = {name: scripts_of(summary_of(plays[name])) for name in plays}
    died = summary_of(plays["daemon that dies in the middle"])
    late = stopped["daemon that dies in the middle"]["test-work"]["finished"] - died["finished"]
    assert late < SOON
    assert summary_of(plays["forked-away daemon, test that forks children and exits"])["start_skew"] == 0


def goes_on(play: Play) -> bool:
    assert play.process.poll() is None, play.output
    return True


def holds(site: Site, node: str, command: list[str]) -> bool:
    """Whether a command succeeds on a machine."""
    return site.lab.exec(node, command, check=False).returncode == 0


def scripts_of(run: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    return {script["id"]: script for node in run["nodes"].values() for script in node["scripts"]}


def test_a_full_disk_on_a_node(site: Site) -> None:
    base = "/var/tmp/multidevice-0"
    site.lab.exec("client-1", ["sh", "-c", f"mkdir -m 711 {base} && mount -t tmpfs -o size=2m,mode=711 tmpfs {base}"])
    try:
        play = start(site, "exec sleep 600", "exec 2>&1; yes | head -c 5M || exit 6")
        play.wait()
    finally:
        site.lab.exec("client-1", ["sh", "-c", f"umount {base} && rmdir {base}"])
    run = summary_of(play)
    text = run["nodes"]["client-1"]["text"]
    assert text.startswith("test script work ended with exit code ")
    assert "(the disk is full: 0 KB are free in /var/tmp/multidevice-0/" in text
    assert len(output_of(play, "client-1", "test-work")) > 500000
    check(site, play, text, client_1=text, server_1="daemon serve was stopped …the run was aborted")


ENDS_ITS_SUPERVISOR = "trap 'kill -KILL $(pgrep -f \"[p]ython.*_supervisor.py\" | sort -n | tail -n 1)' TERM; "
# A path that is just not too long for the machine is for the controller, where the folder of the results is deeper.
TOO_DEEP = """\
cd "$RESULT_ROOT"; name=$(printf %0200d 0)
while [ ${#PWD} -lt 3850 ]; do mkdir $name; cd $name; done
echo kept >$(printf %0$((4080 - ${#PWD}))d 0)
"""


def test_results_that_cannot_be_fetched(site: Site) -> None:
    """All scripts have done well, but nobody will ever see it: this is no good run."""
    play = start(site, f"{ENDS_ITS_SUPERVISOR} while :; do sleep 0.1; done", TOO_DEEP)
    assert play.wait() == 2, play.output
    run = summary_of(play)
    assert {node["state"] for node in run["nodes"].values()} == {"finish"}
    ended = "the supervisor on server-1 was ended from outside"
    reason = f"the results of server-1 could not be fetched: {ended}"
    of_client = f"they cannot be written to {play.submission}/runs/1/nodes/client-1: File name too long"
    check(
        site,
        play,
        reason,
        server_1=f"daemon serve served until the end{NOTHING_SEEN}",
        client_1=f"test work ended with success; its results could not be fetched: {of_client}",
    )
    assert f"abort: {reason}" in play.output
    # What was fetched before is kept.
    assert output_of(play, "client-1", "test-work") == b""


def test_interrupted_by_ctrl_c(site: Site) -> None:
    play = start(site, "exec sleep 600", f"{FORKS_AND_EXITS[:-6]} exec sleep 600")
    wait_for_test(site, play)
    interrupted = play.interrupt()
    stopped = "was stopped …the run was aborted"
    check(site, play, ENDED, server_1=f"daemon serve {stopped}", client_1=f"test work {stopped}")
    assert time.monotonic() - interrupted < 10
    assert output_of(play, "client-1", "test-work") == b"here\n"


def test_a_controller_that_is_killed(site: Site) -> None:
    play = start(site, "exec sleep 600", "echo here; exec sleep 600")
    wait_for_test(site, play)
    play.kill()
    play.wait()
    killed = time.time()
    stopped = "was stopped …the run was aborted"
    run = check(site, play, ENDED, server_1=f"daemon serve {stopped}", client_1=f"test work {stopped}")
    assert max(script["finished"] for script in scripts_of(run).values()) - killed < SOON
    assert output_of(play, "client-1", "test-work") == b"here\n"


def test_a_controller_whose_relay_is_killed_with_it(site: Site) -> None:
    """Nobody is left but the machines."""
    play = start(site, "exec sleep 600", FORKS_AND_EXITS[:-6] + "exec sleep 600", multidevice_lease=3)
    wait_for_test(site, play)
    everything = marked_processes(play.mark)
    for pid, command in everything.items():
        if "ansible-playbook" in command or "_relay/_server.py" in command:
            os.kill(pid, signal.SIGKILL)
    play.wait()
    killed = time.monotonic()
    for node in NODES:
        site.wait_until_clean(node, seconds=3 + 3)
    assert time.monotonic() - killed > 0.5
    wait_until("no process on the controller", lambda: not marked_processes(play.mark), 10)


def test_a_controller_that_sleeps_too_long(site: Site) -> None:
    """As when the lid of a laptop is closed: the machines are clean before it wakes up, and it says what happened."""
    play = start(site, "exec sleep 600", "echo here; exec sleep 600", multidevice_lease=3)
    wait_for_test(site, play)
    asleep = list(marked_processes(play.mark))
    for pid in asleep:
        os.kill(pid, signal.SIGSTOP)
    try:
        for node in NODES:
            site.wait_until_clean(node, seconds=8)
    finally:
        for pid in asleep:
            os.kill(pid, signal.SIGCONT)
    assert play.wait() == 2
    run = summary_of(play)
    assert run["result"] == "abort"
    texts = {node["text"] for node in run["nodes"].values()}
    assert any("was ended from outside" in text or "not heard from" in text for text in texts), texts
    site.assert_clean(play)


def test_a_killed_supervisor(site: Site) -> None:
    play = start(site, "exec sleep 600", f"{FORKS_AND_EXITS[:-6]} exec sleep 600")
    wait_for_test(site, play)
    kill = "kill -KILL $(pgrep -f '[p]ython.*_supervisor.py' | sort -n | tail -n 1)"
    site.lab.exec("client-1", ["sh", "-c", kill])
    site.wait_until_clean("client-1", seconds=3)
    play.wait()
    text = "the supervisor on client-1 was ended from outside"
    stopped = "daemon serve was stopped …the run was aborted"
    check(site, play, text, server_1=stopped, client_1=f"{text}{NOTHING_SEEN}")


PINGS = "while ping -c 1 -W 1 $direct_server_ips; do sleep 0.1; done; echo the server does not answer >&2; exit 5"


def test_a_direct_link_that_is_cut(site: Site) -> None:
    if shutil.which("ping") is None:
        pytest.skip("there is no ping")
    play = start(site, "exec sleep 600", PINGS)
    wait_for_test(site, play)
    site.lab.cut_direct("client-1")
    try:
        play.wait()
    finally:
        site.lab.restore_direct("client-1")
    text = "test script work ended with exit code 5: the server does not answer"
    check(site, play, text, server_1="daemon serve was stopped …the run was aborted", client_1=text)


def test_a_management_link_that_is_cut(site: Site) -> None:
    play = start(site, "exec sleep 600", FORKS_AND_EXITS[:-6] + "exec sleep 600", multidevice_lease=4)
    wait_for_test(site, play)
    cut = time.time()
    site.lab.cut_management("client-1")
    try:
        site.wait_until_clean("client-1", seconds=4 + 4)
        play.wait()
    finally:
        site.lab.restore_management("client-1")
    run = summary_of(play)
    assert run["finished"] - cut < 4 + SOON
    text = run["reason"]["text"]
    assert text.startswith("node client-1 not heard from for ")
    stopped = "daemon serve was stopped …the run was aborted"
    check(site, play, text, client_1=f"{text}{NOTHING_SEEN}", server_1=stopped)
    assert scripts_of(run)["daemon-serve"]["finished"] - cut < 4 + SOON


def test_a_management_link_that_is_away_for_a_moment(site: Site) -> None:
    """Shorter than the lease: nobody notices, and what the script says meanwhile is not lost."""
    play = start(site, "exec sleep 600", "echo here; sleep 2; echo done", multidevice_lease=20)
    wait_for_test(site, play)
    site.lab.cut_management("client-1")
    done = ["sh", "-c", "grep -q done /var/tmp/multidevice-0/*/results/test-work/stdout"]
    wait_until("the test has ended", lambda: holds(site, "client-1", done), 11)
    site.lab.restore_management("client-1")
    assert play.wait() == 0, play.output
    check(
        site,
        play,
        None,
        server_1="daemon serve served until the end",
        client_1="test work ended with success",
    )


def test_a_wrong_cable(site: Site) -> None:
    """The client's card is plugged in nowhere: said before any script runs, with both ends."""
    site.lab.cut_direct("client-1")
    try:
        play = start(site, "exec sleep 600", "exit 0", multidevice_check_links=True)
        play.wait()
    finally:
        site.lab.restore_direct("client-1")
    run = summary_of(play)
    assert "client-1" in run["reason"]["text"] + str(run["reason"]["node"])
    assert "server-1" in run["reason"]["text"] + str(run["reason"]["node"])
    assert not any(script["started"] for script in scripts_of(run).values())
    site.assert_clean(play)


REACHES_THE_SERVER = """\
for address in server server-1 "$server"; do ssh "$address" 'hostname; cat >>/tmp/said' <"$TMP/word" || exit 3; done
ls "$HOME/.ssh"
"""


def test_scripts_that_reach_another_machine_by_ssh(site: Site) -> None:
    """With a key that is made for the run; what was set before stays as it was."""
    config = "# mine\nHost *\n  ServerAliveInterval 7\n"
    for node in NODES:
        write = f"mkdir -p -m 700 /root/.ssh && printf '%s' '{config}' >/root/.ssh/config"
        site.lab.exec(node, ["sh", "-c", f"[ -e /root/.ssh/config ] || {{ {write}; }}"])
        site.untouched[node] = site.look(node)
    work = f"printf word >$TMP/word; {REACHES_THE_SERVER}"
    assert start(site, "exec sleep 600", work).wait() == 2
    refused = site.plays[-1]
    assert "test script work ended with exit code 3" in summary_of(refused)["reason"]["text"]
    play = start(site, "exec sleep 600", work, multidevice_node_ssh=True)
    assert play.wait() == 0, play.output
    said = output_of(play, "client-1", "test-work").decode().split()
    assert said[:3] == ["server-1"] * 3 and {"authorized_keys", "config"} <= set(said[3:])
    assert site.lab.exec("server-1", ["cat", "/tmp/said"]).stdout == "word" * 3
    site.lab.exec("server-1", ["rm", "/tmp/said"])
    done = "test work ended with success"
    check(site, play, None, server_1="daemon serve served until the end", client_1=done)
    assert not marked_processes(play.mark)


SSHD = textwrap.dedent("""\
    set -e
    useradd --create-home --home-dir /var/lib/tester --password '*' --shell /bin/sh tester
    echo 'tester ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/tester
    mkdir -p /var/lib/tester/.ssh
    cat >/var/lib/tester/.ssh/authorized_keys
    chown -R tester: /var/lib/tester/.ssh
    ssh-keygen -q -t ed25519 -N '' -f /run/other_host_key
    printf '%s\\n' 'Port 2222' 'HostKey /run/other_host_key' 'PidFile /run/other_sshd.pid' 'UsePAM no' \\
        'AuthenticationMethods publickey' >/run/other_sshd_config
    /usr/sbin/sshd -f /run/other_sshd_config
    """)


def test_a_login_user_that_is_not_root(site: Site, tmp_path: Path) -> None:
    """The scripts run as root, the line to their supervisor is the login user's."""
    if site.lab.exec("client-1", ["sh", "-c", "command -v sudo useradd"], check=False).returncode:
        pytest.skip("there is no sudo or no useradd")
    key = tmp_path / "key"
    import subprocess

    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    for node in NODES:
        command = site.lab.state.machine_command(node, ["sh", "-c", SSHD])
        subprocess.run(command, check=True, stdin=open(f"{key}.pub"), timeout=30)
    try:
        site.untouched = {node: site.look(node) for node in NODES}
        play = start(
            site,
            "exec sleep 600",
            "id -u; echo $HOME",
            ansible_user="tester",
            ansible_port=2222,
            ansible_become=True,
            ansible_ssh_private_key_file=str(key),
            ansible_ssh_common_args="-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no",
        )
        assert play.wait() == 0, play.output
        assert output_of(play, "client-1", "test-work") == b"0\n/root\n"
        check(site, play, None, server_1="daemon serve served until the end", client_1="test work ended with success")
    finally:
        for node in NODES:
            site.lab.exec(node, ["sh", "-c", "kill $(cat /run/other_sshd.pid)"])
            site.lab.exec(node, ["sh", "-c", "userdel --remove tester; rm -f /etc/sudoers.d/tester"], check=False)
