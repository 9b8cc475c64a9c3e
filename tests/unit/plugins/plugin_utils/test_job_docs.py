# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import pytest

pytest.importorskip("yaml")
pytest.importorskip("netaddr")

from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_NETWORK
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._names import queue_of
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.cluster_file import load_cluster_file
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.direct_network import (
    hand_out_addresses,
    read_networks,
)
from ansible_collections.lab.multidevice.tests.unit.plugins.plugin_utils.job_lab import REPOSITORY, JobLab

DOCS = REPOSITORY / "docs"
# An example, and what comes of it.
EXAMPLE = re.compile(r"(?:<!-- (\w+) -->\n)?```yaml\n((?:(?!```).)*)```\n\n```text\n((?:(?!```).)*)```", re.DOTALL)
PAIR = "server-1: {roles: [server]}\nclient-1: {roles: [client]}\n"
TRIO = "server-1: {roles: [server]}\nboth-1: {roles: [server, client]}\nclient-1: {roles: [client]}\n"


def examples(name: str) -> list[tuple[str, str, str]]:
    page = DOCS / name
    return EXAMPLE.findall(page.read_text()) if page.is_file() else []


def shown_run(run: dict[str, t.Any]) -> t.Iterator[str]:
    params = " ".join(f"{name}={value}" for name, value in run["params"].items())
    yield f"run {run['number']}" + (f": {params}" if params else "")
    for node in run["nodes"]:
        for script in node["scripts"]:
            yield f"  {node['node']}: {shown_script(script)}"


def shown_script(script: dict[str, t.Any]) -> str:
    kind, _unused, name = script["id"].partition("-")
    parts = [" ".join([kind, name, *map(json.dumps, script["args"])])]
    parts += re.findall(r"^(if .*); then$", script["content"] or "", re.MULTILINE)
    for way in ("port", "file", "command"):
        if script["ready"] and way in script["ready"]:
            parts.append(f"ready when {way} {script['ready'][way]}, within {script['ready']['timeout']} s")
    if script["timeout"]:
        parts.append(f"at most {script['timeout']} s")
    parts += [" ".join(f"{name}={value}" for name, value in script["env"].items())] if script["env"] else []
    return ", ".join(parts)


@pytest.mark.parametrize(("_option", "text", "expected"), examples("job-file.md"))
def test_examples_of_job_files(tmp_path: Path, _option: str, text: str, expected: str) -> None:
    lab = JobLab(tmp_path)
    lab.cluster(PAIR)
    lab.cluster(TRIO, "trio")
    lab.scripts("tests/netperf", options=["runtime", "nr_threads", "test"])
    lab.scripts("daemon/netserver", "setup/disk", "tests/sleep")
    try:
        plan = lab.plan(text)
    except InputError as exc:
        found = [str(exc).replace(f"{tmp_path}/jobs/", "")]
    else:
        warnings = [text for text in plan["warnings"] if "left out of cluster" not in text]
        found = [line for run in plan["runs"] for line in shown_run(run)]
        found = [line.replace(f"{tmp_path}/jobs/", "").replace(f"{tmp_path}/", "") for line in warnings] or found
    assert "\n".join(found) == expected.rstrip("\n")


@pytest.mark.parametrize(("option", "text", "expected"), examples("cluster-file.md"))
def test_examples_of_cluster_files(tmp_path: Path, option: str, text: str, expected: str) -> None:
    path = tmp_path / "cluster"
    path.write_text(text)
    lines = []
    try:
        cluster = load_cluster_file(str(path))
    except InputError as exc:
        lines = [str(exc).replace(f"{tmp_path}/", "")]
    else:
        links = hand_out_addresses(
            cluster, cluster.nodes, read_networks(DEFAULT_NETWORK), one_network_per_mac=option == "one_network_per_mac"
        )
        for number, node in enumerate(cluster.nodes):
            cards = ", ".join(f"{link.mac} = {link.ip}/{link.prefix}" for link in links[number])
            lines.append(
                "; ".join(
                    [f"{node.name}: {' '.join(node.roles)}", f"queue {queue_of(node.name)}", *filter(None, [cards])]
                )
            )
    assert "\n".join(lines) == expected.rstrip("\n")


@pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not beside the plugins")
def test_there_are_examples() -> None:
    assert len(examples("job-file.md")) >= 10
    assert len(examples("cluster-file.md")) >= 4
