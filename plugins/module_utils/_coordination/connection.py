# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import os
import ssl
import time
import traceback
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.commands import Command
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.tls import trusting
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError

REDIS_IMPORT_ERROR: str | None
try:
    import redis
    from redis.backoff import ExponentialBackoff, NoBackoff
    from redis.connection import parse_url
    from redis.retry import Retry
    from redis.sentinel import Sentinel
except ImportError:
    REDIS_IMPORT_ERROR = traceback.format_exc()
else:
    REDIS_IMPORT_ERROR = None

Result = t.TypeVar("Result")

# A server that has stopped without closing its connections is noticed after this long.
SOCKET_TIMEOUT = 10.0
LONGEST_BLOCK = SOCKET_TIMEOUT / 2


class Connection:
    """A connection to Redis that rides out a restart of the server, and says in one sentence when it stays away."""

    def __init__(self, settings: RedisSettings, *, text: bool = True) -> None:
        """:param text: whether what Redis holds is text, and answers are strings; they are bytes otherwise."""
        if not settings.is_set:
            raise CoordinationError("no Redis is given; set redis_url, redis_sentinels or MULTIDEVICE_REDIS_URL")
        self.settings = settings
        try:
            self.redis = _connect(settings, text)
        except (ValueError, OSError) as error:
            raise CoordinationError(f"redis_url is not understood: {self._clean(error)}") from error

    def close(self) -> None:
        self.redis.close()

    def call(self, operation: t.Callable[[redis.Redis], Result]) -> Result:
        """Run an operation that may be repeated without harm, until Redis answers or our patience ends."""
        deadline = time.monotonic() + self.settings.timeout

        def failed(error: Exception) -> None:
            if isinstance(error, _REFUSED) or _is_certificate_error(error):
                raise CoordinationError(f"Redis at {self.settings.address} refuses us: {self._clean(error)}") from error
            if time.monotonic() >= deadline:
                raise CoordinationError(
                    f"Redis at {self.settings.address} does not answer "
                    f"(tried for {self.settings.timeout:g} s): {self._clean(error)}"
                ) from error

        patient = Retry(ExponentialBackoff(cap=1.0, base=0.05), -1, _AWAY)
        try:
            return patient.call_with_retry(lambda: operation(self.redis), failed)
        except redis.exceptions.ResponseError as error:
            if str(error).split(" ", 1)[0] in OWN_ERRORS:
                raise
            if "'maxmemory'" in str(error):
                raise CoordinationError(
                    f"Redis at {self.settings.address} is full, it has reached its maxmemory: remove runs that are over "
                    "with cleanup.yml, or give it more memory"
                ) from error
            raise CoordinationError(
                f"Redis at {self.settings.address} refuses a command: {self._clean(error)}"
            ) from error

    def run(self, command: Command, keys: t.Sequence[str], arguments: t.Sequence[t.Any]) -> t.Any:
        """Run one of our commands, which the server keeps from its first use on.

        :raises redis.exceptions.ResponseError: one of the errors that our commands answer with.
        """

        def operation(r: redis.Redis) -> t.Any:
            try:
                return r.evalsha(command.sha, len(keys), *keys, *arguments)
            except redis.exceptions.NoScriptError:
                return r.eval(command.text, len(keys), *keys, *arguments)

        return self.call(operation)

    def read(self, positions: t.Mapping[str, str], seconds: float) -> dict[str, list[tuple[str, dict[str, str]]]]:
        """The entries of streams after a position in each; waits for one at most so many seconds.

        It blocks in pieces that a stopped server cannot hold up unnoticed.
        """
        end = time.monotonic() + seconds
        streams: dict[t.Any, t.Any] = dict(positions)
        while True:
            left = end - time.monotonic()
            block = max(1, int(min(left, LONGEST_BLOCK) * 1000)) if left > 0 else None
            found = self.call(lambda r: t.cast(list, r.xread(streams, block=block)))  # noqa: B023
            if found or end - time.monotonic() <= 0:
                return dict(found)

    def _clean(self, error: Exception) -> str:
        text = " ".join(str(error).split()) or type(error).__name__
        for secret in (self.settings.password, _password_in(self.settings.url)):
            if secret:
                text = text.replace(secret, "********")
        return text.rstrip(".")


# What our own commands answer with; everything else is the server's.
OWN_ERRORS = ("UNKNOWN", "TAKEN", "PARTICIPANTS", "NOBODY", "STRANGER", "OCCUPIED", "OVER")

# To tell the server the library's name and version costs two round trips and some milliseconds of CPU for every
# connection, most of what a task takes.
_ANONYMOUS: dict[str, None] = {"driver_info": None}

if REDIS_IMPORT_ERROR is None:
    try:
        import redis.driver_info
    except ImportError:
        _ANONYMOUS = {"lib_name": None, "lib_version": None}
    _AWAY: tuple[type[Exception], ...] = (
        redis.exceptions.ConnectionError,
        redis.exceptions.TimeoutError,
        redis.exceptions.ReadOnlyError,
        redis.exceptions.TryAgainError,
        OSError,
    )
    _REFUSED: tuple[type[Exception], ...] = (
        redis.exceptions.AuthenticationError,
        redis.exceptions.AuthorizationError,
    )


def _connect(settings: RedisSettings, text: bool) -> redis.Redis:
    options: dict[str, t.Any] = {
        "decode_responses": text,
        "protocol": 2,
        "socket_timeout": SOCKET_TIMEOUT,
        # Every wait in a thread blocks one.
        "max_connections": 100000,
        "retry": Retry(NoBackoff(), 0),
        **_ANONYMOUS,
    }
    if settings.username:
        options["username"] = settings.username
    if settings.password:
        options["password"] = settings.password
    tls: dict[str, t.Any] = {}
    if settings.uses_tls:
        for path in (settings.ca_cert, settings.client_cert, settings.client_key):
            if path and not os.access(path, os.R_OK):
                raise CoordinationError(f"{path} cannot be read; it was given as certificate or key for Redis")
        tls = {
            "ssl_ca_certs": settings.ca_cert,
            "ssl_certfile": settings.client_cert,
            "ssl_keyfile": settings.client_key,
        }
    if not settings.sentinels:
        return trusting(settings, redis.Redis.from_url(settings.url or "", **options, **tls))
    in_url = parse_url(settings.url) if settings.url else {}
    for key in ("host", "port", "path", "connection_class"):
        in_url.pop(key, None)
    if settings.uses_tls:
        tls["ssl"] = True
    asking = {"socket_timeout": 2.0, "decode_responses": True, "protocol": 2, **tls}
    sentinel = Sentinel(list(settings.sentinels), sentinel_kwargs=asking, **{**in_url, **options, **tls})
    for asked in sentinel.sentinels:
        trusting(settings, asked)
    return trusting(settings, sentinel.master_for(settings.sentinel_service))


_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def _is_certificate_error(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        # A server that ends in the middle of a handshake is away, and has not refused anybody.
        broken_off = isinstance(cause, _BROKEN_OFF) or getattr(cause, "reason", "") == "UNEXPECTED_EOF_WHILE_READING"
        if (isinstance(cause, ssl.SSLError) and not broken_off) or "certificate" in str(cause).lower():
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _password_in(url: str | None) -> str | None:
    from urllib.parse import urlsplit

    return urlsplit(url).password if url else None
