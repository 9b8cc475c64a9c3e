# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A job written as in lkp-tests, with its scripts in a checkout of the older and of the newer layout."""

from __future__ import annotations

import json
import shutil
import stat
import typing as t
from pathlib import Path

import pytest

from support.sites import Site

JOB = """
suite: iperf
testcase: iperf
category: benchmark

runtime: 2s
setup-tuning:

cluster: some-machines

if role server:
  iperf-server:

if role client:
  sampler:
  iperf:
    protocol:
      - tcp
      - udp
"""

SETUP = """#!/bin/sh
echo tuned > "$TMP/tuned"
"""

DAEMON = """#!/bin/bash
# It stays, and is gone with the run.
iperf3 --server --daemon
"""

MONITOR = """#!/bin/sh
while :; do cat /proc/loadavg; sleep 0.2; done
"""

TEST = """#!/bin/bash
# - runtime
# - protocol

. $LKP_SRC/lib/common.sh
test -e "$TMP/tuned" || exit 7

server=${direct_server_ips%% *}
[ "$protocol" = udp ] && option="--udp --bandwidth 10M"
log_cmd iperf3 --client "${server:-127.0.0.1}" --time "$runtime" $option --json > $RESULT_ROOT/iperf3.json
{ exit_code=$?; grep -q '"error"' $RESULT_ROOT/iperf3.json && cat $RESULT_ROOT/iperf3.json >&2 && exit 1; exit $exit_code; }
"""

LIBRARY = "check_common() { :; }\n"
LOG_COMMAND = """#!/bin/sh
echo "$@" >&2
exec "$@"
"""

LAYOUTS = {
    "older": {
        "setup/setup-tuning": SETUP,
        "daemon/iperf-server": DAEMON,
        "monitors/sampler": MONITOR,
        "tests/iperf": TEST,
        "bin/log_cmd": LOG_COMMAND,
    },
    "newer": {
        "programs/setup-tuning/setup": SETUP,
        "programs/iperf-server/daemon": DAEMON,
        "programs/sampler/monitor": MONITOR,
        "programs/iperf/run": TEST,
        "bin/log_cmd": LOG_COMMAND,
    },
}

pytestmark = pytest.mark.skipif(shutil.which("iperf3") is None, reason="iperf3 is not installed")


def checkout(folder: Path, layout: str) -> Path:
    """A folder laid out like a checkout of lkp-tests."""
    for name, text in LAYOUTS[layout].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    (folder / "lib").mkdir()
    (folder / "lib" / "common.sh").write_text(LIBRARY)
    return folder


def summary_of(site: Site, results: Path) -> tuple[Path, dict[str, t.Any]]:
    (folder,) = results.iterdir()
    return folder, json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize(
    ("layout", "network", "first_address"),
    [("older", "192.168.222.0/24", "192.168.222.1"), ("newer", "fd00:222::/64", "fd00:222::1")],
)
def test_a_job_as_in_lkp_tests_runs_as_it_is(site: Site, layout: str, network: str, first_address: str) -> None:
    site.cluster({"server-1": ["server"], "client-1": ["client"]})
    tree = checkout(site.folder / "checkout", layout)
    variables = {"multidevice_script_paths": [str(tree)], "multidevice_direct_network": network}
    play = site.run(site.job(JOB), variables=variables)
    assert play.process.returncode == 0, play.output

    folder, summary = summary_of(site, play.results)
    assert summary["result"] == "finish"
    assert [run["params"] for run in summary["runs"]] == [{"protocol": "tcp"}, {"protocol": "udp"}]
    for run in summary["runs"]:
        server, client = run["nodes"]["server-1"], run["nodes"]["client-1"]
        assert server["direct_ips"] == [first_address]
        assert [(script["kind"], script["name"]) for script in server["scripts"]] == [
            ("setup", "setup-tuning"),
            ("daemon", "iperf-server"),
        ]
        assert [(script["kind"], script["name"]) for script in client["scripts"]] == [
            ("setup", "setup-tuning"),
            ("monitor", "sampler"),
            ("test", "iperf"),
        ]
        by_name = {script["name"]: script for script in client["scripts"]}
        monitor, test = by_name["sampler"], by_name["iperf"]
        assert test["exit_code"] == 0
        assert monitor["started"] <= test["started"]
        assert monitor["finished"] >= test["finished"]
        of_test = folder / "runs" / str(run["number"]) / "nodes" / "client-1" / "test-iperf"
        report = json.loads((of_test / "iperf3.json").read_text())
        assert report["start"]["connected"][0]["remote_host"] == first_address
        assert "iperf3 --client" in (of_test / "stderr").read_text()
    site.assert_clean(play)


def test_a_failure_is_told_as_tools_there_expect_it(site: Site) -> None:
    site.cluster({"server-1": ["server"], "client-1": ["client"]})
    job = site.job(
        "cluster: some-machines\nif role server:\n  wait-long:\nif role client:\n  fail-now:\n",
        **{"tests_wait-long": "sleep 60", "tests_fail-now": "exit 2"},
    )
    play = site.run(job)
    assert play.process.returncode != 0
    folder, _summary = summary_of(site, play.results)
    nodes = folder / "runs" / "1" / "nodes"
    assert (nodes / "client-1" / "last_state").read_text().splitlines() == [
        "test.fail-now.exit_code.2: 1",
        "exit_fail: 1",
    ]
    assert (nodes / "server-1" / "last_state").read_text().splitlines() == ["cluster.abort: 1"]
    site.assert_clean(play)
