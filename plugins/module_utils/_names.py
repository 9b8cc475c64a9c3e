# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""Names that become file names, host names, Redis keys and shell variables, and the ids made of them."""

from __future__ import annotations

import datetime
import ipaddress
import re
import secrets
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError

_ID_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_NOT_SHELL = re.compile(r"[^A-Za-z0-9_]")
MAX_NAME = 128

# Patterns, for texts that such names are in.
SHELL_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
SCRIPT_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"

# Addresses of a role are exported under its name; these names mean something else to every script.
_TAKEN_BY_SCRIPTS = frozenset(
    [
        "PATH",
        "HOME",
        "IFS",
        "ENV",
        "SHELL",
        "USER",
        "PWD",
        "TMP",
        "TMPDIR",
        "RESULT_ROOT",
        "LKP_SRC",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "node_roles",
        "direct_ips",
        "direct_macs",
        "job_id",
        "cluster_id",
    ]
)


def new_submission_id(now: datetime.datetime | None = None) -> str:
    moment = now or datetime.datetime.now(datetime.timezone.utc)
    return moment.strftime("%Y%m%dT%H%M%S-") + "".join(secrets.choice(_ID_LETTERS) for _unused in range(4))


def cluster_id(submission_id: str, run_number: int) -> str:
    return f"{submission_id}.{run_number}"


def job_id(run_id: str, node_number: int) -> str:
    return f"{run_id}.{node_number}"


def is_name(text: str) -> bool:
    return len(text) <= MAX_NAME and _NAME.fullmatch(text) is not None and ".." not in text


def check_name(text: t.Any) -> str:
    """The name of a node or a role.

    :raises InputError: it is none.
    """
    if not isinstance(text, str) or not is_name(text.removeprefix("direct-")):
        raise InputError(f"{str(text)[:100]!r} is no name of a node or a role")
    return text


def check_address(text: t.Any) -> str:
    """An IP address in its usual spelling, without a zone.

    :raises InputError: it is none. Addresses come from machines, and go into files of others.
    """
    try:
        if not isinstance(text, str) or "%" in text:
            raise ValueError
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InputError(f"{str(text)[:100]!r} is no IP address") from None


def is_shell_name(text: str) -> bool:
    return re.fullmatch(SHELL_NAME, text) is not None


def is_script_name(text: str) -> bool:
    """Whether a script can be called that, and so a key of a job that names one, or an option of it."""
    return re.fullmatch(SCRIPT_NAME, text) is not None


def shell_name(name: str) -> str:
    """The variable that a role's addresses are exported under."""
    variable = _NOT_SHELL.sub("_", name)
    return f"_{variable}" if variable[:1].isdigit() else variable


def numbered_shell_name(name: str) -> str:
    """The variable that a script's parameter is handed on as: other letters as their numbers, as LKP's scripts expect."""
    return _NOT_SHELL.sub(lambda char: f"_{ord(char.group())}_", name)


def is_taken_by_scripts(name: str) -> bool:
    return shell_name(name) in _TAKEN_BY_SCRIPTS


def check_submission_id(text: str) -> str:
    if not is_name(text):
        raise InputError(f"submission_id {text!r}: only letters, digits, '.', '_' and '-' can be in it.")
    return text


def queue_of(node: str) -> str:
    """The node's name less a trailing --<digits>, so that several nodes can share one queue."""
    return re.sub(r"--[0-9]+\Z", "", node) or node
