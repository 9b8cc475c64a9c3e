# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import socket
import ssl
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings

if t.TYPE_CHECKING:
    import redis

# With one of these, redis-py's own way is taken. They can be set in the address only.
RARE = (
    *("ca_path", "ca_data", "ssl_validate_ocsp", "ssl_validate_ocsp_stapled"),
    *("ssl_min_version", "ssl_ciphers", "ssl_include_verify_flags", "ssl_exclude_verify_flags"),
)


class _OneAuthority:
    """A connection of redis-py that trusts the CA it was told of, and no other.

    redis-py trusts all of the system's besides, and loads them anew for each connection: 20 ms of a processor, as much as
    the rest of a task takes.
    """

    def _connect(self) -> socket.socket:
        from redis.connection import SSLConnection

        mine = t.cast("SSLConnection", self)
        if any(getattr(mine, name, None) for name in RARE):
            usual: socket.socket = super()._connect()  # type: ignore[misc]
            return usual
        plain: socket.socket = super(SSLConnection, mine)._connect()
        try:
            context = ssl.create_default_context(cafile=mine.ca_certs)
            context.check_hostname = mine.check_hostname
            context.verify_mode = mine.cert_reqs
            if mine.certfile or mine.keyfile:
                context.load_cert_chain(mine.certfile, mine.keyfile, mine.certificate_password)
            return context.wrap_socket(plain, server_hostname=mine.host)
        except OSError:
            plain.close()
            raise


def trusting(settings: RedisSettings, client: redis.Redis) -> redis.Redis:
    """The client, whose connections trust the CA that is set, and no other."""
    if settings.ca_cert:
        pool = client.connection_pool
        pool.connection_class = type("Connection", (_OneAuthority, pool.connection_class), {})
    return client
