# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError

DEFAULT_PREFIX = "sched/"
DEFAULT_PATIENCE = 30.0


@dataclass(frozen=True)
class RedisSettings:
    """Where Redis is and how to get in. The password never appears in repr()."""

    url: str | None = None
    username: str | None = None
    password: str | None = None
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    sentinels: tuple[tuple[str, int], ...] = ()
    sentinel_service: str = "mymaster"
    timeout: float = DEFAULT_PATIENCE
    prefix: str = DEFAULT_PREFIX

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any]) -> RedisSettings:
        """Merge, the first that is set wins: the options given, the environment, the configuration file."""
        in_file = _read_file(_first(options.get("redis_config_file"), os.environ.get(_variable("config_file"))))
        values = {}
        for field in fields(cls):
            value = _first(
                options.get(option_name(field.name)), os.environ.get(_variable(field.name)), in_file.get(field.name)
            )
            if value is not None:
                values[field.name] = _CONVERTERS.get(field.name, str)(value)
        settings = cls(**values)
        settings._check()
        return settings

    def as_options(self) -> dict[str, t.Any]:
        """The settings as options of a module, for a module that is run on another machine."""
        options: dict[str, t.Any] = {
            option_name(field.name): getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) not in (None, ())
        }
        if self.sentinels:
            options["redis_sentinels"] = [f"{host}:{port}" for host, port in self.sentinels]
        return options

    @property
    def is_set(self) -> bool:
        return bool(self.url or self.sentinels)

    @property
    def address(self) -> str:
        """How to name the server in a message: no user, no password."""
        if self.sentinels:
            return (
                f"{self.sentinel_service} (asked from {', '.join(f'{host}:{port}' for host, port in self.sentinels)})"
            )
        parts = urlsplit(self.url or "")
        if parts.scheme == "unix":
            return parts.path
        return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"

    @property
    def uses_tls(self) -> bool:
        return (self.url or "").startswith("rediss://") or bool(self.ca_cert or self.client_cert)

    def __repr__(self) -> str:
        return f"RedisSettings({self.address}, prefix={self.prefix!r})"

    def _check(self) -> None:
        if self.url is not None and urlsplit(self.url).scheme not in ("redis", "rediss", "unix"):
            raise InputError("redis_url has to begin with redis://, rediss:// or unix://")
        if not self.prefix:
            raise InputError("prefix must not be empty")
        if self.client_key and not self.client_cert:
            raise InputError("redis_client_key is set but redis_client_cert is not; give both")
        if self.url and self.url.startswith("redis://") and (self.ca_cert or self.client_cert) and not self.sentinels:
            raise InputError("redis_ca_cert and redis_client_cert need a redis_url that begins with rediss://")


def option_name(field: str) -> str:
    return field if field == "prefix" else f"redis_{field}"


def _variable(field: str) -> str:
    return f"MULTIDEVICE_REDIS_{field.upper()}"


def _first(*values: t.Any) -> t.Any:
    return next((value for value in values if value not in (None, "", [], ())), None)


def _read_file(path: str | None) -> dict[str, t.Any]:
    if not path:
        return {}
    import yaml

    try:
        with open(os.path.expanduser(path), encoding="utf-8") as stream:
            content = yaml.safe_load(stream) or {}
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"redis_config_file {path} cannot be read: {error}") from error
    known = {field.name for field in fields(RedisSettings)}
    if not isinstance(content, dict) or not known.issuperset(content):
        unknown = sorted(map(str, set(content) - known)) if isinstance(content, dict) else ["no mapping"]
        raise InputError(
            f"redis_config_file {path}: {', '.join(unknown)} is not understood; right would be any of {', '.join(sorted(known))}"
        )
    return content


def _sentinels(value: t.Any) -> tuple[tuple[str, int], ...]:
    items = value.split(",") if isinstance(value, str) else value
    result = []
    for item in items:
        host, separator, port = str(item).strip().rpartition(":")
        if not separator or not host or not port.isdigit():
            raise InputError(f"redis_sentinels: {item!r} is not host:port")
        result.append((host.strip("[]"), int(port)))
    return tuple(result)


def _seconds(value: t.Any) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise InputError(f"redis_timeout: {value!r} is not a number of seconds") from error


_CONVERTERS: dict[str, t.Callable[[t.Any], t.Any]] = {"sentinels": _sentinels, "timeout": _seconds}
