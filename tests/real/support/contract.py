# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a submission has left in its result folder, held against the contract."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

Summary = t.Mapping[str, t.Any]

SUBMISSION = {"submission_id": str, "job": str, "result": str, "runs": list}
RUN = {
    "cluster_id": str,
    "result": str,
    "reason": (dict, type(None)),
    "params": dict,
    "started": float,
    "finished": float,
}
RUN["nodes"] = dict
NODE = {"job_id": str, "roles": list, "state": str, "ip": (str, type(None)), "direct_ips": list, "direct_macs": list}
NODE["scripts"] = list
SCRIPT = {"name": str, "kind": str, "exit_code": (int, type(None))}
# A script that did not come to its turn has no times.
SCRIPT |= {"started": (float, type(None)), "finished": (float, type(None))}
REASON = {"node": (str, type(None)), "script": (str, type(None)), "exit_code": (int, type(None)), "text": str}


def check_shape(summary: Summary) -> None:
    """Every key of the contract, with its type. More keys are allowed."""
    _check(summary, SUBMISSION)
    assert re.fullmatch(r"\d{8}T\d{6}-[0-9a-z]{4}", summary["submission_id"])
    assert summary["result"] in ("finish", "abort")
    for number, run in enumerate(summary["runs"], 1):
        _check(run, RUN)
        assert run["cluster_id"] == f"{summary['submission_id']}.{number}"
        assert run["result"] in ("finish", "abort")
        assert (run["reason"] is None) == (run["result"] == "finish")
        if run["reason"] is not None:
            _check(run["reason"], REASON)
        for position, node in enumerate(run["nodes"].values(), 1):
            _check(node, NODE)
            assert node["job_id"] == f"{run['cluster_id']}.{position}"
            for script in node["scripts"]:
                _check(script, SCRIPT)
                assert script["kind"] in ("setup", "daemon", "monitor", "test")


def _check(record: Summary, wanted: t.Mapping[str, t.Any]) -> None:
    wrong = {key: record.get(key) for key, kind in wanted.items() if not isinstance(record.get(key), kind)}
    assert not wrong and set(wanted) <= set(record), record


def check_times(summary: Summary, begin: float, end: float) -> None:
    """Everything took place in its run, the run within the command, each script before its end, unless its node was lost."""
    for run in summary["runs"]:
        assert begin < run["started"] <= run["finished"] < end
        for node in run["nodes"].values():
            for script in filter(has_run, node["scripts"]):
                assert run["started"] < script["started"] <= (script["finished"] or end) <= end


def has_run(script: Summary) -> bool:
    return script["started"] is not None


def scripts_of(run: Summary, *, kind: str | None = None) -> dict[tuple[str, str], Summary]:
    """The scripts that have run, by node and name."""
    return {
        (name, script["name"]): script
        for name, node in run["nodes"].items()
        for script in filter(has_run, node["scripts"])
        if kind in (None, script["kind"])
    }


def overlap(scripts: t.Iterable[Summary]) -> float:
    """For how many seconds all of them ran at the same time; negative: there was no such time."""
    them = list(scripts)
    return float(min(script["finished"] for script in them) - max(script["started"] for script in them))


def files(submission: Path) -> set[str]:
    return {str(path.relative_to(submission)) for path in submission.rglob("*") if path.is_file()}


def events(submission: Path, run: int = 1) -> list[dict[str, t.Any]]:
    lines = (submission / "runs" / str(run) / "events.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
