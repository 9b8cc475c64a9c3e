# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.barriers import Barriers
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import Connection
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.history import History
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.messages import Messages
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.nodes import Nodes
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.queues import Queues
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.registration import Registration
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.reservations import Reservations
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.runs import Runs
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings


class Coordinator:
    """All that is said to Redis, by subject, over one connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.registration = Registration(connection)
        self.nodes = Nodes(connection)
        self.barriers = Barriers(connection)
        self.messages = Messages(connection)
        self.runs = Runs(connection)
        self.history = History(connection)
        self.reservations = Reservations(connection)
        self.queues = Queues(connection)

    @classmethod
    def connect(cls, settings: RedisSettings) -> Coordinator:
        """Over a connection of its own."""
        return cls(Connection(settings))

    def close(self) -> None:
        """End the connection."""
        self.connection.close()
