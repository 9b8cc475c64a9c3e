# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils import _names
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError


@pytest.mark.parametrize(
    ("text", "address"),
    [("192.0.2.1", "192.0.2.1"), ("2001:DB8:0::1", "2001:db8::1")],
)
def test_addresses(text: str, address: str) -> None:
    assert _names.check_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "me",
        "192.0.2.1 ",
        "192.0.2.1\n",
        "192.0.2.1/24",
        "192.0.2",
        "fe80::1%eth0",
        "fe80::1%a\nb",
        1,
        None,
        ["::1"],
    ],
)
def test_what_is_no_address(text: t.Any) -> None:
    with pytest.raises(InputError, match="is no IP address"):
        _names.check_address(text)


@pytest.mark.parametrize("name", ["server-1", "direct-server-1", "10g.client", "direct-a"])
def test_names(name: str) -> None:
    assert _names.check_name(name) == name


@pytest.mark.parametrize("name", ["", "direct-", "a b", "a\nb", "-x", "a..b", "x" * 200, 1, None])
def test_what_is_no_name(name: t.Any) -> None:
    with pytest.raises(InputError, match="is no name of a node or a role"):
        _names.check_name(name)
