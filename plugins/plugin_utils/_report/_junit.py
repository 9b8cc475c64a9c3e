# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import datetime
import typing as t
from xml.etree import ElementTree

from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import ReasonKind, ScriptKind, Verdict
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._store import StoredRun, Submission
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._text import clean
from ansible_collections.lab.multidevice.plugins.plugin_utils._results import matrix, run_warnings, script_record, table

OUTPUT = 32_768

Record = t.Mapping[str, t.Any]
Element = ElementTree.Element


def junit(submission: Submission) -> str:
    """The results as JUnit's XML: a suite for each run, a test case for each script of each node.

    What did not get its turn, or was stopped because the run was over, is skipped. Of a run that aborted though no
    script failed, the reason is an error.
    """
    root = Element("testsuites")
    for number, run in enumerate(submission.runs):
        root.append(_suite(number, submission.summary, run))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(number: int, submission: Record, run: StoredRun) -> Element:
    summary, job = run.summary, str(submission["job"])
    cases = [_case(job, run, node, script) for node, record in summary["nodes"].items() for script in record["scripts"]]
    if summary["result"] != Verdict.FINISH and not any(case.find("failure") is not None for case in cases):
        cases.append(_abort(job, summary))
    took = script_record.seconds(summary)
    started = datetime.datetime.fromtimestamp(summary["started"] or 0, datetime.UTC)
    counts = {kind: str(sum(case.find(kind[:-1]) is not None for case in cases)) for kind in ("failures", "errors")}
    suite = Element(
        "testsuite",
        {
            "id": str(number),
            "package": clean(job),
            "name": summary["cluster_id"],
            "hostname": clean(" ".join(summary["nodes"])),
            "timestamp": started.strftime("%Y-%m-%dT%H:%M:%S"),
            "tests": str(len(cases)),
            **counts,
            "skipped": str(sum(case.find("skipped") is not None for case in cases)),
            "time": f"{took or 0:.3f}",
        },
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in summary["params"].items():
        ElementTree.SubElement(properties, "property", name=clean(str(name)), value=clean(matrix.word(value)))
    warned = run_warnings.of_run(submission, summary["number"])
    if warned:
        ElementTree.SubElement(properties, "property", name="multidevice_warnings", value=str(len(warned)))
    suite.extend(cases)
    ElementTree.SubElement(suite, "system-out")
    lines = run_warnings.lines(warned, several_runs=False)
    ElementTree.SubElement(suite, "system-err").text = clean("\n".join(lines)) or None
    return suite


def _case(job: str, run: StoredRun, node: str, script: Record) -> Element:
    took = script_record.seconds(script)
    case = Element(
        "testcase",
        classname=clean(f"{job}.{node}"),
        name=clean(f"{script['kind']} {script['id'].removeprefix(script['kind'] + '-')}"),
        time=f"{took or 0:.3f}",
    )
    word = script_record.exit_word(script)
    if script_record.has_failed(script):
        message = script.get("failure") or (word if script["timed_out"] else f"exit code {word}")
        failure = ElementTree.SubElement(case, "failure", type=word, message=clean(message))
        failure.text = _output(run, node, script)
    elif script["started"] is None:
        ElementTree.SubElement(case, "skipped", message="it did not get its turn")
    elif script["stopped"] and not ScriptKind(script["kind"]).properties.in_background:
        ElementTree.SubElement(case, "skipped", message="it was stopped because the run was over")
    return case


def _abort(job: str, summary: Record) -> Element:
    case = Element("testcase", classname=clean(job), name="the run", time="0.000")
    why = summary["reason"]
    ElementTree.SubElement(
        case, "error", type=why.get("kind") or str(ReasonKind.ABORT), message=clean(table.reason(why))
    )
    return case


def _output(run: StoredRun, node: str, script: Record) -> str:
    parts = []
    for stream in ("stdout", "stderr"):
        path = run.script_folder(node, script) / stream
        try:
            with open(path, "rb") as file:
                file.seek(max(0, path.stat().st_size - OUTPUT))
                text = clean(file.read().decode("utf-8", errors="replace")).strip("\n")
        except OSError:
            continue
        if text:
            parts.append(f"{stream}:\n{text}")
    return "\n\n".join(parts) or clean(script.get("tail") or "")
