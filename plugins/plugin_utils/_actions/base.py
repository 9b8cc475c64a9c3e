# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import missing_required_lib
from ansible.plugins.action import ActionBase
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.arguments import CONNECTION_ARGUMENTS
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import REDIS_IMPORT_ERROR
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, MultideviceError
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.play import Play
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.redis_variables import with_redis_variables
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._embedded_redis import complete_redis_settings

Result = dict[str, t.Any]

# The items of a loop are done by one worker process.
_coordinators: dict[RedisSettings, Coordinator] = {}


class ControllerAction(ActionBase):
    """Does a task inside the controller's worker process, with what the state in Redis is asked and told by."""

    argument_spec: t.ClassVar[dict[str, dict[str, t.Any]]]
    constraints: t.ClassVar[dict[str, t.Any]] = {}
    # Why no other machine can do it.
    nowhere_else: t.ClassVar[str]

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Validate the options and do the work; failures become the task's one sentence."""
        variables = task_vars or {}
        super().run(tmp, variables)
        self.play = Play.of(self._task, variables)
        self._task.args = with_redis_variables(self._task.args, variables, self._templar.template)
        _validation, options = self.validate_argument_spec(
            argument_spec={**self.argument_spec, **CONNECTION_ARGUMENTS}, **self.constraints
        )
        try:
            self.prepare(options)
            if self._task.delegate_to and self._connection.transport != "local":
                return self.delegate(options, variables)
            return self.work(options)
        except MultideviceError as error:
            return {"failed": True, "changed": False, "msg": str(error)}

    def prepare(self, options: Result) -> None:
        """Complete the options by what only the controller knows, and refuse what cannot end well."""

    def work(self, options: Result) -> Result:
        """The task itself.

        :raises MultideviceError: it cannot be done.
        """
        raise NotImplementedError

    def delegate(self, options: Result, variables: Result) -> Result:
        """The task when it is delegated to another machine."""
        raise CoordinationError(self.nowhere_else)

    def connect(self, options: Result) -> Coordinator:
        """The state in Redis, which is the embedded one where nothing else has been set."""
        if REDIS_IMPORT_ERROR:
            raise CoordinationError(missing_required_lib("redis"))
        settings = complete_redis_settings(options)
        if settings not in _coordinators:
            _coordinators[settings] = Coordinator.connect(settings)
        return _coordinators[settings]
