# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import os
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._names import check_address, check_name
from ansible_collections.lab.multidevice.plugins.module_utils._node import _undo as undo

_PUBLIC_KEY = re.compile(r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]{1,60} [A-Za-z0-9+/]{16,2000}={0,2}(?: [\x20-\x7e]{0,200})?")


def make_key(folder: Path) -> str:
    """Make this machine's key for a run, in the run's folder. Returns its public part.

    :raises NodeError: there is no ssh-keygen.
    """
    keys = _keys(folder)
    if not keys.is_dir():
        if shutil.which("ssh-keygen") is None:
            raise NodeError("ssh between the machines needs the OpenSSH client: there is no ssh-keygen on this one")
        keys.mkdir(mode=0o700)
        command = [
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            f"multidevice {folder.name}",
            "-f",
            str(keys / "key"),
        ]
        # The supervisor calls this, which has no AnsibleModule whose run_command it could use.
        subprocess.run(  # pylint: disable=ansible-bad-function
            command, check=True, stdin=subprocess.DEVNULL, capture_output=True
        )
    return (keys / "key.pub").read_text(encoding="ascii").strip()


def let_in(folder: Path, keys: t.Sequence[str], names: t.Sequence[str]) -> None:
    """Let the owners of keys log in here as this user, and have ssh use this machine's own key for these names.

    The other machines' host keys are taken as they come, and kept with the run.
    """
    for name in names:
        try:
            check_address(name)
        except InputError:
            check_name(name)
    for key in keys:
        if not isinstance(key, str) or not _PUBLIC_KEY.fullmatch(key):
            raise InputError(f"{str(key)[:100]!r} is no public key of OpenSSH")
    home = Path(os.path.expanduser("~"), ".ssh")
    own = _keys(folder)
    undo.put_block(folder, home / "authorized_keys", keys, mode=0o600)
    settings = [
        f"Host {' '.join(names)}",
        f"  IdentityFile {own / 'key'}",
        "  IdentitiesOnly yes",
        f"  UserKnownHostsFile {own / 'known_hosts'}",
        "  StrictHostKeyChecking accept-new",
        "  BatchMode yes",
        # What stands below is meant for all hosts again.
        "Host *",
    ]
    # ssh takes the first value that it finds.
    undo.put_block(folder, home / "config", settings, on_top=True, mode=0o600)


def _keys(folder: Path) -> Path:
    return folder / "ssh"
