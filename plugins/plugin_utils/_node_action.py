# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError


class NodeAction(ActionBase):  # type: ignore[misc]
    """What the actions that work on test machines share.

    A machine that cannot be reached is *unreachable* to Ansible, which no ``rescue`` sees. As a part of a run it is a
    failure like any other: the run has to abort, and the other nodes with it.
    """

    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Validate the options and do the work; failures become the task's one sentence."""
        variables = task_vars or {}
        super().run(tmp, variables)
        node = variables.get("inventory_hostname", "the node")
        try:
            return self.work(variables)
        except AnsibleConnectionFailure as error:
            if not self._task.args.get("job_id"):
                raise
            return {"failed": True, "changed": False, "lost": True, "msg": f"{node} cannot be reached: {error.message}"}
        except MultideviceError as error:
            return {"failed": True, "changed": False, "msg": str(error)}

    def work(self, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        """The action itself.

        :raises MultideviceError: it cannot be done.
        """
        raise NotImplementedError
