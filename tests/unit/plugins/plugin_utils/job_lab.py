# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import textwrap
import typing as t
from pathlib import Path

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.plan import plan_submission

SUBMISSION = "20261123T181530-k3f9"
REPOSITORY = Path(os.path.realpath(__file__)).parents[4]
SAMPLES = REPOSITORY.parent / "shared" / "samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the sample files of lkp-tests are not beside the repository"
)

TWO_NODES = """
nodes:
  one:
    roles: [server]
    macs: ["02:00:00:00:00:01"]
  two:
    roles: [client]
    macs: ["02:00:00:00:00:02"]
"""


class JobLab:
    """A folder with a job, cluster files and a script tree, as a lab has them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = folder / "tree"
        (folder / "jobs").mkdir()
        (self.tree / "cluster").mkdir(parents=True)

    def write(self, path: str, text: str | bytes, executable: bool = False) -> Path:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(textwrap.dedent(text).lstrip("\n").encode() if isinstance(text, str) else text)
        target.chmod(0o755 if executable else 0o644)
        return target

    def scripts(self, *paths: str, options: t.Iterable[str] = ()) -> None:
        header = "".join(f"# - {option}\n" for option in options)
        for path in paths:
            self.write(f"tree/{path}", f"#!/bin/sh\n{header}\n:\n", executable=True)

    def cluster(self, text: str = TWO_NODES, name: str = "pair") -> None:
        self.write(f"tree/cluster/{name}", text)

    def plan(self, job: str | bytes | None = None, **options: t.Any) -> dict[str, t.Any]:
        if job is not None:
            self.write("jobs/job.yaml", job)
        options.setdefault("script_paths", [str(self.tree)])
        plan = plan_submission(str(self.folder / "jobs" / "job.yaml"), submission_id=SUBMISSION, **options)
        json.dumps(plan, allow_nan=False)
        return t.cast(dict[str, t.Any], plan)

    def nodes(self, job: str, **options: t.Any) -> dict[str, dict[str, t.Any]]:
        """The nodes of the only run."""
        (run,) = self.plan(job, **options)["runs"]
        return {node["node"]: node for node in run["nodes"]}

    def error(self, job: str | bytes | None = None, **options: t.Any) -> str:
        """The one sentence that refuses the job, with the folders left out."""
        with pytest.raises(InputError) as caught:
            self.plan(job, **options)
        message = str(caught.value)
        assert "\n" not in message
        return self.without_folders(message)

    def without_folders(self, message: str) -> str:
        return message.replace(f"{self.folder}/jobs/", "").replace(f"{self.tree}/cluster/", "")


def environment(node: dict[str, t.Any], script_id: str) -> dict[str, t.Any]:
    """What one script of a node finds in its environment, shares of the CPUs as numbers."""
    (script,) = [script for script in node["scripts"] if script["id"] == script_id]
    return {**node["env"], **node["cpu_shares"], **script["env"], **script["cpu_shares"]}


def script_ids(node: dict[str, t.Any]) -> list[str]:
    return [script["id"] for script in node["scripts"]]
