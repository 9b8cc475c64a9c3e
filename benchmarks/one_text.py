# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the scheduler did that the protocol comes from, as far as it is measured here beside what takes its place.

The whole cluster is one JSON text. Whoever changes it reads it, changes it and writes it back. Whoever waits polls it.
"""

from __future__ import annotations

import json
import typing as t

import redis

POLL_INTERVAL = 10.0


class OneText:
    def __init__(self, client: redis.Redis, key: str) -> None:
        self._redis = client
        self._key = key

    def begin(self, nodes: int) -> None:
        states = {
            f"job-{number}": {"state": "", "roles": "client", "ip": "172.18.0.2", "direct_ips": "192.168.222.2"}
            for number in range(1, nodes + 1)
        }
        self._redis.set(self._key, json.dumps(states))

    def read(self) -> dict[str, t.Any]:
        return t.cast(dict, json.loads(t.cast(str, self._redis.get(self._key))))

    def report(self, job: str, state: str) -> None:
        states = self.read()
        states[job]["state"] = state
        self._redis.set(self._key, json.dumps(states))

    def all_are(self, state: str) -> bool:
        return all(node["state"] == state for node in self.read().values())
