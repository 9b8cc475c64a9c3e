# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import Operation
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.base import ControllerAction, Result


class DelegatedAction(ControllerAction):
    """Does the operation of a module in the controller; delegated to a machine that alone reaches Redis, the module does it there."""

    operation: t.ClassVar[Operation]

    def __init_subclass__(cls) -> None:
        cls.argument_spec = cls.operation.argument_spec
        cls.constraints = cls.operation.constraints

    def work(self, options: Result) -> Result:
        """The operation, in this process."""
        return self.operation.work(lambda: self.connect(options).connection, options, self._task.check_mode)

    def delegate(self, options: Result, variables: Result) -> Result:
        """The module, on the other machine, which is told where Redis is."""
        settings = RedisSettings.from_options(options)
        if not settings.is_set:
            raise CoordinationError(
                f"{self._task.delegate_to} is to talk to Redis, but where Redis is has not been set; set redis_url"
            )
        given = {name: value for name, value in options.items() if value is not None}
        given.pop("redis_config_file", None)
        result: Result = self._execute_module(module_args={**given, **settings.as_options()}, task_vars=variables)
        return result
