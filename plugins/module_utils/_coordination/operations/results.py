# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import (
    Operation,
    Options,
    Result,
)
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import metrics, table
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import summary as _summary
from ansible_collections.lab.multidevice.plugins.plugin_utils._results.last_state import last_state_lines


def _write_results(connect: t.Callable[[], Coordinator], options: Options, check_mode: bool) -> Result:
    plan = options["plan"]
    if options["state"] == "promised":
        raise InputError("state: only on the controller can results be promised")
    folder = Path(options["dest"], plan["submission_id"])
    coordinator = connect()
    states = [(run, coordinator.info(run["cluster_id"]), coordinator.events(run["cluster_id"])) for run in plan["runs"]]
    summary = _summary.summarize(states)
    _summary.add_metrics(summary, lambda run, node, script: metrics.read_metrics(_folder(folder, run, node, script)))
    if not check_mode:
        try:
            _write_files(folder, plan, states, summary)
        except OSError as error:
            raise InputError(f"dest: the results cannot be written to {folder}: {error.strerror}") from error
        for run in plan["runs"]:
            coordinator.close_run(run["cluster_id"])
    return {
        "changed": True,
        "summary": summary,
        "folder": str(folder.absolute()),
        "table": table.text_table(summary),
        "last_words": table.last_words(summary),
        "verdict": table.verdict(summary),
    }


def _folder(results: Path, run: t.Mapping[str, t.Any], node: str, script: t.Mapping[str, t.Any]) -> Path:
    return results / "runs" / str(run["number"]) / "nodes" / node / str(script["id"])


def _write_files(folder: Path, plan: t.Mapping[str, t.Any], states: t.Sequence[t.Any], summary: Result) -> None:
    for (run, _info, events), ended in zip(states, summary["runs"]):
        of_run = folder / "runs" / str(run["number"])
        of_run.mkdir(parents=True, exist_ok=True)
        _write_yaml(of_run / "job.yaml", {key: run[key] for key in ("cluster_id", "cluster", "params", "roles")})
        lines = [json.dumps(event, ensure_ascii=False) + "\n" for event in events]
        (of_run / "events.jsonl").write_text("".join(lines), encoding="utf-8")
        for node in run["nodes"]:
            of_node = of_run / "nodes" / node["node"]
            of_node.mkdir(parents=True, exist_ok=True)
            _write_yaml(of_node / "job.yaml", node["job"])
            lines = [f"{line}\n" for line in last_state_lines(ended, node["node"])]
            (of_node / "last_state").write_text("".join(lines), encoding="utf-8")
    # The summary comes last: who sees it may rely on the rest.
    partial = folder / ".summary.json"
    partial.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.rename(folder / "summary.json")


def _write_yaml(path: Path, content: t.Any) -> None:
    import yaml

    # A plan that Ansible has passed on may have texts of Ansible's own classes in it, which YAML does not know.
    plain = json.loads(json.dumps(content))
    path.write_text(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), encoding="utf-8")


RESULTS = Operation(
    work=_write_results,
    argument_spec={
        "plan": {"type": "dict", "required": True},
        "dest": {"type": "path", "default": "results"},
        "state": {"type": "str", "choices": ["written", "promised"], "default": "written"},
    },
)
