# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""How files come from those who submit to the workers, and results back: through Redis, a shared folder, or a web server."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import typing as t
import urllib.error
import urllib.parse
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._archives import file_digest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import Connection
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import DEFAULT_EXCHANGE
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError, InputError

if t.TYPE_CHECKING:
    import redis

PIECE = 524288
UPLOAD_LIFE_MS = 600000
HTTP_TIMEOUT = 60
_NAME = re.compile(r"(tree|result)-[A-Za-z0-9._-]+\.tar\.gz")


class Exchange:
    """Named files that a submission's machines share. A file appears whole or not at all; the same name, the same content."""

    def put(self, name: str, source: Path, *, keep_seconds: float) -> None:
        """Offer a file under a name, unless there is one; it is kept at least so long, where we decide on that.

        :raises CoordinationError: it cannot be written there.
        """
        raise NotImplementedError

    def get(self, name: str, target: Path) -> bool:
        """Fetch a file; False when there is none of that name.

        :raises CoordinationError: it cannot be read, or is damaged.
        """
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Forget a file, if there is one of that name."""
        raise NotImplementedError


def open_exchange(where: str, settings: RedisSettings) -> Exchange:
    """The exchange that a setting names: ``redis``, an absolute path of a folder, or an ``http(s)://`` address.

    :raises InputError: it is none of these.
    """
    if where == DEFAULT_EXCHANGE:
        return RedisExchange(settings)
    if where.startswith(("http://", "https://")):
        parts = urllib.parse.urlsplit(where)
        if "@" in parts.netloc:
            raise InputError(
                f"exchange: put the login for {parts.hostname} into ~/.netrc, not into the address, which everybody can see"
            )
        return WebExchange(where)
    if os.path.isabs(where):
        return FolderExchange(Path(where))
    raise InputError(
        f"exchange: {where!r} is not understood; right would be redis, the absolute path of a shared folder, or an "
        "address that begins with https://"
    )


class RedisExchange(Exchange):
    """A file is a list of pieces of half a megabyte at most, after a first item with its checksum."""

    def __init__(self, settings: RedisSettings) -> None:
        self._connection = Connection(settings, text=False)
        self._prefix = settings.prefix

    def put(self, name: str, source: Path, *, keep_seconds: float) -> None:
        key, keep = self._key(name), int(keep_seconds * 1000)
        if self._connection.call(lambda r: r.exists(key)):
            self._keep_longer(key, keep)
            return
        partial = f"{key}/{secrets.token_hex(8)}"
        try:
            self._append(partial, 0, file_digest(source).encode())
            with open(source, "rb") as stream:
                count = 0
                while piece := stream.read(PIECE):
                    count += 1
                    self._append(partial, count, piece)
            self._connection.call(lambda r: r.pexpire(partial, keep))
            self._connection.call(lambda r: r.eval(_RENAME, 2, partial, key))
        except CoordinationError:
            # Redis may be full, of this among others.
            with contextlib.suppress(CoordinationError):
                self._connection.call(lambda r: r.delete(partial))
            raise

    def get(self, name: str, target: Path) -> bool:
        key = self._key(name)
        pieces = self._connection.call(lambda r: r.llen(key))
        if not pieces:
            return False
        with open(target, "wb") as stream:
            for number in range(1, pieces):
                stream.write(self._piece(key, number))
        if file_digest(target) != self._piece(key, 0).decode():
            raise CoordinationError(f"{name} in Redis is damaged: its checksum differs")
        return True

    def remove(self, name: str) -> None:
        key = self._key(name)
        self._connection.call(lambda r: r.delete(key))

    def _key(self, name: str) -> str:
        return f"{self._prefix}files/{check_name(name)}"

    def _piece(self, key: str, number: int) -> bytes:
        piece = self._connection.call(lambda r: t.cast("bytes | None", r.lindex(key, number)))
        if piece is None:
            raise CoordinationError(f"{key} went away while it was read: its time was over, or somebody removed it")
        return piece

    def _append(self, key: str, number: int, piece: bytes) -> None:
        def operation(r: redis.Redis) -> None:
            # An answer may have been lost: a piece is not to be there twice.
            if r.llen(key) == number:
                r.rpush(key, piece)
            r.pexpire(key, UPLOAD_LIFE_MS)

        self._connection.call(operation)

    def _keep_longer(self, key: str, keep: int) -> None:
        left = self._connection.call(lambda r: r.pttl(key))
        if left < keep:
            self._connection.call(lambda r: r.pexpire(key, keep))


# Repeated after a lost answer, it finds nothing to rename.
_RENAME = "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end return 1"


class FolderExchange(Exchange):
    """A folder that all machines see, on a network file system for instance. How long files are kept there is its owner's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, source: Path, *, keep_seconds: float) -> None:
        path = self._folder / check_name(name)
        if path.exists():
            return
        partial = self._folder / f".{path.name}.{secrets.token_hex(8)}"
        try:
            shutil.copyfile(source, partial)
            partial.rename(path)
        except OSError as error:
            raise CoordinationError(f"{path} cannot be written: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)

    def get(self, name: str, target: Path) -> bool:
        path = self._folder / check_name(name)
        try:
            shutil.copyfile(path, target)
        except FileNotFoundError:
            if not self._folder.is_dir():
                raise CoordinationError(f"the shared folder {self._folder} is not there on this machine") from None
            return False
        except OSError as error:
            raise CoordinationError(f"{path} cannot be read: {error.strerror}") from error
        return True

    def remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self._folder / check_name(name)).unlink(missing_ok=True)


class WebExchange(Exchange):
    """A web server that takes PUT, GET and DELETE below an address, as WebDAV servers do. Logins come from ``~/.netrc``."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")

    def put(self, name: str, source: Path, *, keep_seconds: float) -> None:
        if self._exists(name):
            return
        with open(source, "rb") as stream:
            size = {"Content-Length": str(os.fstat(stream.fileno()).st_size), "Content-Type": "application/gzip"}
            self._request("PUT", name, data=stream, headers=size).close()

    def get(self, name: str, target: Path) -> bool:
        try:
            with self._request("GET", name) as answer, open(target, "wb") as stream:
                shutil.copyfileobj(answer, stream)
        except _NotThere:
            return False
        return True

    def remove(self, name: str) -> None:
        with contextlib.suppress(_NotThere):
            self._request("DELETE", name).close()

    def _exists(self, name: str) -> bool:
        with contextlib.suppress(_NotThere):
            self._request("HEAD", name).close()
            return True
        return False

    def _request(self, method: str, name: str, **options: t.Any) -> t.Any:
        from ansible.module_utils.urls import open_url

        url = f"{self._address}/{urllib.parse.quote(check_name(name))}"
        try:
            return open_url(url, method=method, timeout=HTTP_TIMEOUT, **options)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise _NotThere(name) from None
            raise CoordinationError(f"{method} {url} is refused: {error.code} {error.reason}") from error
        except (OSError, ValueError) as error:
            raise CoordinationError(f"{method} {url} fails: {error}") from error


class _NotThere(Exception):
    pass


def check_name(name: str) -> str:
    """A name that is safe as the name of a file, a key and a part of an address."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise InputError(f"{name!r} is no name of a file to exchange")
    return name


def tree_name(checksum: str) -> str:
    """A packed script tree, by its SHA-256."""
    return f"tree-{checksum}.tar.gz"


def result_name(job_id: str) -> str:
    """The packed results of a node job."""
    return f"result-{job_id}.tar.gz"
