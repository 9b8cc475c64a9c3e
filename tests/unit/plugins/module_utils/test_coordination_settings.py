# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "USERNAME", "PASSWORD", "SENTINELS", "CONFIG_FILE", "PREFIX", "TIMEOUT"):
        monkeypatch.delenv(f"MULTIDEVICE_REDIS_{name}", raising=False)


def test_options_win_over_the_environment_and_that_over_the_file(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "redis.yml"
    file.write_text("url: redis://file\nusername: file\npassword: file\ntimeout: 3\n", encoding="utf-8")
    monkeypatch.setenv("MULTIDEVICE_REDIS_USERNAME", "environment")
    monkeypatch.setenv("MULTIDEVICE_REDIS_PASSWORD", "environment")
    settings = RedisSettings.from_options(
        {"redis_config_file": str(file), "redis_password": "option", "redis_url": None, "prefix": ""}
    )
    assert settings.url == "redis://file"
    assert settings.username == "environment"
    assert settings.password == "option"
    assert settings.timeout == 3.0
    assert settings.prefix == "sched/"


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({"redis_url": "redis://user:s3cret@lab:6380/2"}, "lab:6380"),
        ({"redis_url": "rediss://:s3cret@lab"}, "lab:6379"),
        ({"redis_url": "unix:///run/redis.sock?password=s3cret"}, "/run/redis.sock"),
        ({"redis_sentinels": ["a:26379", "[fd00::1]:26380"]}, "mymaster (asked from a:26379, fd00::1:26380)"),
    ],
)
def test_the_address_shows_no_secret(options: dict[str, t.Any], address: str) -> None:
    settings = RedisSettings.from_options({**options, "redis_password": "s3cret"})
    assert settings.is_set
    assert settings.address == address
    assert "s3cret" not in repr(settings)


def test_settings_can_be_handed_on_as_options() -> None:
    options = {
        "redis_url": "rediss://lab",
        "redis_password": "s3cret",
        "redis_ca_cert": "/etc/ca.crt",
        "redis_sentinels": ["a:26379"],
        "prefix": "lab7/",
    }
    settings = RedisSettings.from_options(options)
    assert RedisSettings.from_options(settings.as_options()) == settings


def test_nothing_is_set() -> None:
    assert not RedisSettings.from_options({}).is_set


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"redis_url": "http://lab"}, "has to begin with redis://, rediss:// or unix://"),
        ({"redis_url": "redis://lab", "redis_ca_cert": "/ca"}, "need a redis_url that begins with rediss://"),
        ({"redis_url": "rediss://lab", "redis_client_key": "/key"}, "redis_client_cert is not"),
        ({"redis_sentinels": ["lab"]}, "'lab' is not host:port"),
        ({"redis_timeout": "soon"}, "'soon' is not a number of seconds"),
        ({"redis_config_file": "/nowhere/redis.yml"}, "redis_config_file /nowhere/redis.yml cannot be read"),
    ],
)
def test_what_cannot_be_right(options: dict[str, t.Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        RedisSettings.from_options(options)


def test_a_file_with_unknown_names(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "redis.yml"
    file.write_text("redis_url: redis://lab\n", encoding="utf-8")
    with pytest.raises(InputError, match="redis_url is not understood; right would be any of ca_cert"):
        RedisSettings.from_options({"redis_config_file": str(file)})
