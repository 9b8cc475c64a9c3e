# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import platform
import secrets
import time
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_EXCHANGE, DEFAULT_LEASE
from ansible_collections.lab.multidevice.plugins.module_utils._errors import (
    CoordinationError,
    InputError,
    MultideviceError,
)
from ansible_collections.lab.multidevice.plugins.module_utils._names import is_name, queue_of
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import ReasonKind, Report, make_reason
from ansible_collections.lab.multidevice.plugins.plugin_utils import _exchange as exchange
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.base import ControllerAction
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay import _client as relay
from ansible_collections.lab.multidevice.plugins.plugin_utils._worker.spool import Spool

Result = dict[str, t.Any]
SLICE = 30.0
LOCK_PATIENCE = 120.0
HAND_IN_TIMEOUT = 900.0
SHORTEST_LEASE = 1.0


class ActionModule(ControllerAction):
    """The whole of the module: a worker is this very ansible-playbook process."""

    argument_spec = {
        "state": {"type": "str", "choices": ["present", "taken", "done"], "required": True},
        "queue": {"type": "str"},
        "machine": {"type": "str"},
        "spool": {"type": "path"},
        "exchange": {"type": "str", "default": DEFAULT_EXCHANGE},
        "lease": {"type": "float", "default": DEFAULT_LEASE},
        "timeout": {"type": "float", "default": 0},
        "job_id": {"type": "str"},
    }
    constraints = {"required_if": [("state", "present", ("queue",)), ("state", "done", ("job_id",))]}
    nowhere_else = "a worker works on the machine where its ansible-playbook runs, and nowhere else"

    def work(self, options: Result) -> Result:
        """Do what ``state`` says."""
        if self._task.check_mode:
            return {"changed": True}
        return _STATES[options["state"]](self, options)

    def _present(self, options: Result) -> Result:
        machine = options["machine"] or platform.node().partition(".")[0]
        for name in (machine, options["queue"]):
            if not is_name(name):
                raise InputError(
                    f"{name!r} cannot name a queue or a machine: letters, digits, '.', '_' and '-' are right"
                )
        if queue_of(options["queue"]) != options["queue"]:
            raise InputError(
                f"no node job comes to a queue {options['queue']}: the queue of a node of that name is "
                f"{queue_of(options['queue'])}"
            )
        if options["lease"] < SHORTEST_LEASE:
            raise InputError(
                f"lease: {options['lease']:g} seconds are too few, right would be {SHORTEST_LEASE:g} or more"
            )
        settings = RedisSettings.from_options(options)
        if not settings.is_set:
            raise CoordinationError(
                "a worker needs the Redis that its queue is in; set redis_url or MULTIDEVICE_REDIS_URL"
            )
        # Before it takes a node job, which would fail of this.
        exchange.open_exchange(options["exchange"], settings)
        spool = Spool(options["spool"] or _usual_spool()).folder
        worker = {
            "machine": machine,
            "queue": options["queue"],
            "token": secrets.token_hex(8),
            "host": f"{platform.node()}:{spool}",
            "lease": options["lease"],
        }
        began = relay.call(
            "worker_begin", worker=worker, spool=str(spool), redis=settings.as_options(), timeout=LOCK_PATIENCE
        )
        result: Result = {"changed": False, "machine": machine, "spool": str(spool), "left": began["left"]}
        if began["notices"]:
            result["warnings"] = began["notices"]
        return result

    def _taken(self, options: Result) -> Result:
        """Wait for a node job, fetch its scripts, and write down what is to be done before anything is."""
        spool = Spool(options["spool"] or _usual_spool())
        deadline = time.monotonic() + options["timeout"]
        job_id = None
        while job_id is None:
            left = deadline - time.monotonic() if options["timeout"] else SLICE
            if left <= 0:
                return {"changed": False, "job": None}
            job_id = relay.call("worker_take", slice=min(left, SLICE), timeout=SLICE + 60)["job_id"]
        coordinator = self.connect(options)
        work = coordinator.queues.work_of(job_id)
        job = spool.job(job_id)
        job.begin(work)
        try:
            archives = self._fetch_trees(work, spool, options)
        except MultideviceError as error:
            # It would be so for the next worker too.
            text = f"{options['machine'] or platform.node()}: {error}"
            coordinator.nodes.report(job_id, Report.FAILED, make_reason(text, kind=ReasonKind.FAILED))
            raise
        return {"changed": True, "job": {**work, "archives": archives, "results": str(job.results)}}

    def _fetch_trees(self, work: Result, spool: Spool, options: Result) -> dict[str, str]:
        if work["exchange"] != options["exchange"]:
            raise CoordinationError(
                f"the job was submitted with its files in {work['exchange']}, and this worker exchanges files through "
                f"{options['exchange']}: set multidevice_exchange to the same for both"
            )
        where = exchange.open_exchange(work["exchange"], RedisSettings.from_options(options))
        archives = {}
        for root, checksum in work["trees"].items():
            with spool.place_for_tree(checksum) as (path, partial):
                if partial is not None and not where.get(exchange.tree_name(checksum), partial):
                    raise CoordinationError(
                        f"the scripts of {root} are not in the exchange any more; submit the job again"
                    )
            archives[root] = str(path)
        return archives

    def _done(self, options: Result) -> Result:
        job = Spool(options["spool"] or _usual_spool()).job(options["job_id"])
        if not job.folder.is_dir():
            return {"changed": False, "notes": []}
        done = relay.call("worker_done", job_id=job.job_id, timeout=HAND_IN_TIMEOUT)
        result: Result = {"changed": True, "notes": done["notes"]}
        if done["notes"]:
            result["warnings"] = done["notes"]
        return result


_STATES: dict[str, t.Callable[[ActionModule, Result], Result]] = {
    "present": ActionModule._present,
    "taken": ActionModule._taken,
    "done": ActionModule._done,
}


def _usual_spool() -> str:
    if os.getuid() == 0:
        return "/var/lib/multidevice"
    return os.path.join(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"), "multidevice")
