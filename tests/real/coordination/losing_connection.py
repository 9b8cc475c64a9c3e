# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import redis
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import Connection, Result


class LosingConnection(Connection):
    """A connection whose next answer is lost on the way, after the server has done what it was asked."""

    lose_next = False

    def call(self, operation: t.Callable[[redis.Redis], Result]) -> Result:
        def losing(connection: redis.Redis) -> Result:
            result = operation(connection)
            if self.lose_next:
                self.lose_next = False
                raise redis.exceptions.ConnectionError("the answer was lost")
            return result

        return super().call(losing)
