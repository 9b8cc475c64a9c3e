# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import missing_required_lib
from ansible.plugins.action import ActionBase
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.client import REDIS_IMPORT_ERROR
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import Coordinator
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import Operation
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, MultideviceError
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.play import Play
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.redis_variables import with_redis_variables
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._embedded_redis import embedded_redis_url

Result = dict[str, t.Any]

# The items of a loop are done by one worker process.
_coordinators: dict[RedisSettings, Coordinator] = {}


class CoordinationAction(ActionBase):
    """Runs the operation of a module inside the controller's worker process.

    Only a task that is delegated to another machine, which alone may reach Redis, is run there as a module.
    """

    operation: t.ClassVar[Operation]

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Validate the options by the module's own argument spec and do the work."""
        variables = task_vars or {}
        super().run(tmp, variables)
        self.play = Play.of(self._task, variables)
        self._task.args = with_redis_variables(self._task.args, variables, self._templar.template)
        _validation, options = self.validate_argument_spec(
            argument_spec=self.operation.all_arguments, **self.operation.constraints
        )
        try:
            self.prepare(options)
            if self._task.delegate_to and self._connection.transport != "local":
                return self._delegate(options, variables)
            return self._work(options)
        except MultideviceError as error:
            return {"failed": True, "changed": False, "msg": str(error)}

    def prepare(self, options: Result) -> None:
        """Complete the options by what only the controller knows, and refuse what cannot end well."""

    def _work(self, options: Result) -> Result:
        return self.operation.work(lambda: self._connect(options), options, self._task.check_mode)

    def _connect(self, options: Result) -> Coordinator:
        if REDIS_IMPORT_ERROR:
            raise CoordinationError(missing_required_lib("redis"))
        settings = RedisSettings.from_options(options)
        if not settings.is_set:
            settings = RedisSettings.from_options({**options, "redis_url": embedded_redis_url(start=True)})
        if settings not in _coordinators:
            _coordinators[settings] = Coordinator.connect(settings)
        return _coordinators[settings]

    def _delegate(self, options: Result, variables: Result) -> Result:
        settings = RedisSettings.from_options(options)
        if not settings.is_set:
            raise CoordinationError(
                f"{self._task.delegate_to} is to talk to Redis, but where Redis is has not been set; set redis_url"
            )
        given = {name: value for name, value in options.items() if value is not None}
        given.pop("redis_config_file", None)
        result: Result = self._execute_module(module_args={**given, **settings.as_options()}, task_vars=variables)
        return result
