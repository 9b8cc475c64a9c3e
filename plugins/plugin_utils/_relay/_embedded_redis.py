# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay import _client


def embedded_redis_url(start: bool, *, controller: int | None = None) -> str | None:
    """The URL of the embedded Redis of this ansible-playbook process, None when there is none.

    :param start: start one when there is none. It ends with the ansible-playbook process.
    :param controller: the id of that process, unless a task's worker process calls: there it is the parent.
    :raises MultideviceError: it cannot be started.
    """
    answer = _client.call("embedded_redis", start_relay=start, controller=controller, start=start)
    url: str | None = answer.get("url")
    return url


def complete_redis_settings(options: t.Mapping[str, t.Any], *, start: bool = True) -> RedisSettings:
    """What a task says about Redis, with files and environment taken into account; the embedded one where nothing is.

    :param start: start the embedded one when there is none.
    """
    settings = RedisSettings.from_options(options)
    if settings.is_set:
        return settings
    return RedisSettings.from_options({**options, "redis_url": embedded_redis_url(start=start)})
