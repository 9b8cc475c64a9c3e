# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.arguments import CONNECTION_ARGUMENTS

# multidevice_redis_url for redis_url, and so on.
VARIABLES = {option: f"multidevice_redis_{option.removeprefix('redis_')}" for option in CONNECTION_ARGUMENTS}


def with_redis_variables(
    arguments: t.Mapping[str, t.Any], variables: t.Mapping[str, t.Any], template: t.Callable[[t.Any], t.Any]
) -> dict[str, t.Any]:
    """A task's arguments; those that say where Redis is, and are not given, come from the host's variables.

    Said in ``module_defaults``, each of them would be rendered for each task and host: more than a third of what such a
    task costs.

    :param template: renders the values, which may have been written as templates.
    """
    found = {
        option: variables[variable]
        for option, variable in VARIABLES.items()
        if variable in variables and arguments.get(option) is None
    }
    return {**arguments, **(template(found) if found else {})}
