# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import metrics, run_warnings, summary, table
from ansible_collections.lab.multidevice.plugins.plugin_utils._results.last_state import last_state_lines

Part = t.Mapping[str, t.Any]


def write_results(
    plan: Part, dest: str, runs: t.Sequence[Part], *, strict: bool = False, dry: bool = False
) -> dict[str, t.Any]:
    """Write the files of a submission into its folder in ``dest``: of each run and node, and last its summary.

    :param runs: of each run of the plan its state and its events, as ``read_runs`` gives them.
    :param strict: a run with warnings does not count as good.
    :param dry: write nothing.
    :returns: the summary, the folder, and what a terminal shows of them.
    :raises InputError: the files cannot be written.
    """
    folder = Path(dest, plan["submission_id"])
    states = [(run, known["info"], known["events"]) for run, known in zip(plan["runs"], runs, strict=True)]
    found = summary.summarize(states)
    summary.add_metrics(found, lambda run, node, script: metrics.read_metrics(_folder(folder, run, node, script)))
    run_warnings.add_warnings(found, run_warnings.planned_warnings(plan), strict=strict)
    if not dry:
        try:
            _write_files(folder, plan, states, found)
        except OSError as error:
            raise InputError(f"dest: the results cannot be written to {folder}: {error.strerror}") from error
    return {
        "changed": True,
        "summary": found,
        "folder": str(folder.absolute()),
        "table": table.text_table(found),
        "last_words": table.last_words(found),
        "told_warnings": run_warnings.text_of(found),
        "verdict": table.verdict(found),
    }


def _folder(results: Path, run: Part, node: str, script: Part) -> Path:
    return results / "runs" / str(run["number"]) / "nodes" / node / str(script["id"])


def _write_files(folder: Path, plan: Part, states: t.Sequence[t.Any], found: Part) -> None:
    for (run, _info, events), ended in zip(states, found["runs"], strict=True):
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
    partial.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.rename(folder / "summary.json")


def _write_yaml(path: Path, content: t.Any) -> None:
    import yaml

    # A plan that Ansible has passed on may have texts of Ansible's own classes in it, which YAML does not know.
    plain = json.loads(json.dumps(content))
    path.write_text(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), encoding="utf-8")
