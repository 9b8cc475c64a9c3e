# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

# The options that say where Redis is. A file of their own, so that modules which have them only to hand them on take nothing
# of Redis to a test machine.
CONNECTION_ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "redis_url": {"type": "str"},
    "redis_username": {"type": "str"},
    "redis_password": {"type": "str", "no_log": True},
    "redis_ca_cert": {"type": "path"},
    "redis_client_cert": {"type": "path"},
    "redis_client_key": {"type": "path", "no_log": False},
    "redis_sentinels": {"type": "list", "elements": "str"},
    "redis_sentinel_service": {"type": "str"},
    "redis_timeout": {"type": "float"},
    "redis_config_file": {"type": "path"},
    "prefix": {"type": "str"},
}
