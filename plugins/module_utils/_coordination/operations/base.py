# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.arguments import CONNECTION_ARGUMENTS
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import (
    REDIS_IMPORT_ERROR,
    Connection,
)
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError

Options = dict[str, t.Any]
Result = dict[str, t.Any]

Work = t.Callable[[t.Callable[[], Connection], Options, bool], Result]


@dataclass(frozen=True)
class Operation:
    """What a module does, in the module itself and in the controller's process: its options and one function.

    The function gets a way to connect, the validated options, and whether this is check mode.
    """

    work: Work
    argument_spec: dict[str, dict[str, t.Any]]
    constraints: dict[str, t.Any] = field(default_factory=dict)

    @property
    def all_arguments(self) -> dict[str, dict[str, t.Any]]:
        return {**self.argument_spec, **CONNECTION_ARGUMENTS}


def run_module(operation: Operation) -> None:
    """The whole of a module that was sent to another machine."""
    module = AnsibleModule(argument_spec=operation.all_arguments, supports_check_mode=True, **operation.constraints)
    if REDIS_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("redis"), exception=REDIS_IMPORT_ERROR)
    try:
        settings = RedisSettings.from_options(module.params)
        result = operation.work(lambda: Connection(settings), module.params, module.check_mode)
    except MultideviceError as error:
        module.fail_json(msg=str(error))
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)
