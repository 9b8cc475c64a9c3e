# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes a big submission of a small one: the last node again and again, the last run again and again."""

from __future__ import annotations

import copy
import json
import shutil
import typing as t
from pathlib import Path

Record = dict[str, t.Any]


def enlarge(small: Path, big: Path, *, nodes: int, runs: int, log: str = "") -> Path:
    """Write the big submission's files. `log` is added to the output of every script."""
    summary: Record = json.loads((small / "summary.json").read_text())
    pattern = summary["runs"][-1]
    folder = small / "runs" / str(pattern["number"])
    lines = (folder / "events.jsonl").read_text().splitlines()
    model = list(pattern["nodes"])[-1]
    names = [*list(pattern["nodes"])[:-1]]
    names += [f"{model.rpartition('-')[0]}-{number}" for number in range(len(names), nodes)]
    summary["runs"] = []
    for number in range(1, runs + 1):
        of_run = big / "runs" / str(number)
        run = copy.deepcopy(pattern)
        run.update(number=number, cluster_id=f"{summary['submission_id']}.{number}", params={"size": number})
        run["nodes"] = {name: copy.deepcopy(pattern["nodes"].get(name, pattern["nodes"][model])) for name in names}
        summary["runs"].append(run)
        events = []
        for line in lines:
            event = json.loads(line)
            who = [name for name in names if name == event["node"]]
            if event["node"] == model:
                who = [name for name in names if name == model or name not in pattern["nodes"]]
            for place, name in enumerate(who or [None]):
                delay = (number * 7 + place * 13) % 50 / 100 if event["node"] else 0.5
                events.append({**event, "node": name, "time": event["time"] + delay})
        events.sort(key=lambda event: event["time"])
        for name in names:
            source = folder / "nodes" / (name if name in pattern["nodes"] else model)
            shutil.copytree(source, of_run / "nodes" / name)
            for stream in (of_run / "nodes" / name).glob("*/std*"):
                stream.write_text(stream.read_text() + log)
        shutil.copy(folder / "job.yaml", of_run)
        (of_run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (big / "summary.json").write_text(json.dumps(summary))
    return big
