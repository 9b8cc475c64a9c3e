# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import contextlib
import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import ReasonKind, Report, make_reason
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay import _client as relay
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._embedded_redis import complete_redis_settings


class NodeAction(ActionBase):
    """What the actions that work on test machines share.

    A machine that cannot be reached is *unreachable* to Ansible, which no ``rescue`` sees. As a part of a run it is a
    failure like any other: the run has to abort, and the other nodes with it. Nor is a ``rescue`` soon enough: the
    linear strategy comes to it only when the other machines are through with their tasks, and these wait for this one.
    """

    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Validate the options and do the work; failures become the task's one sentence."""
        variables = task_vars or {}
        super().run(tmp, variables)
        self.node: str = variables.get("inventory_hostname", "the node")
        try:
            result = self.work(variables)
        except AnsibleConnectionFailure as error:
            if not self._task.args.get("job_id"):
                raise
            text = f"{self.node} cannot be reached: {error.message}"
            result = {"failed": True, "changed": False, "lost": True, "msg": text}
        except MultideviceError as error:
            result = {"failed": True, "changed": False, "msg": str(error)}
        # How scripts end is known to the run already: it is what the answer tells.
        if result.get("failed") and "answer" not in result and self._task.args.get("job_id"):
            with contextlib.suppress(MultideviceError):
                self._abort_the_run(self._task.args["job_id"], str(result.get("msg")))
        return result

    def call_relay(
        self, op: str, *, start_relay: bool = True, timeout: float | None = 90.0, **request: t.Any
    ) -> dict[str, t.Any]:
        """Put a request about this node's part of its run to the relay; see there for its options and errors."""
        job_id = str(self._task.args["job_id"])
        return relay.call(op, start_relay=start_relay, timeout=timeout, job_id=job_id, node=self.node, **request)

    def _abort_the_run(self, job_id: str, text: str) -> None:
        if self.call_relay("failed", start_relay=False, text=text).get("reported"):
            return
        if self._task.args.get("cluster_id"):
            settings = complete_redis_settings(self._task.args, start=False)
            with contextlib.closing(Coordinator.connect(settings)) as coordinator:
                coordinator.nodes.report(job_id, Report.FAILED, make_reason(text, kind=ReasonKind.FAILED))

    def work(self, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        """The action itself.

        :raises MultideviceError: it cannot be done.
        """
        raise NotImplementedError
