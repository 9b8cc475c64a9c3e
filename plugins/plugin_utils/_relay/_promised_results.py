# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.results import (
    close_runs,
    read_runs,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.module_utils._json_lines import Message
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator

LOG = logging.getLogger("multidevice.relay")


class PromisedResults:
    """Where the results of a submission belong, as long as the play has not written them itself."""

    def __init__(self) -> None:
        self._dest = ""
        self._plan: Message | None = None
        self._redis: Message = {}
        self._strict = False

    def promise(self, request: Message) -> None:
        """Take the plan of a submission, or let it go."""
        self._plan = request["plan"]
        if self._plan is not None:
            self._dest, self._redis, self._strict = request["dest"], request["redis"], request["strict"]

    def folder_of(self, job_id: str) -> Path | None:
        """Where the results of a node job belong; None when nobody has said."""
        for run in self._plan["runs"] if self._plan else ():
            for node in run["nodes"]:
                if self._plan is not None and node["job_id"] == job_id:
                    of_run = Path(self._dest, self._plan["submission_id"], "runs", str(run["number"]))
                    return of_run / "nodes" / node["node"]
        return None

    async def write(self) -> None:
        """Write what is known now."""
        if self._plan is None:
            return
        try:
            await asyncio.to_thread(self._write)
        except (MultideviceError, OSError) as error:
            LOG.error("the results could not be written: %s", error)

    def _write(self) -> None:
        # A third of what a relay has to load, and hardly any relay is left alone.
        from ansible_collections.lab.multidevice.plugins.plugin_utils._report._write import write_reports
        from ansible_collections.lab.multidevice.plugins.plugin_utils._results.write import write_results

        if self._plan is None:
            return
        coordinator = Coordinator.connect(RedisSettings.from_options(self._redis))
        runs = read_runs(coordinator.history, self._plan)
        result = write_results(self._plan, self._dest, runs, strict=self._strict)
        close_runs(coordinator.runs, self._plan)
        write_reports(Path(result["folder"]))
