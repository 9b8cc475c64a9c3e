# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._errors import NodeError


@dataclass(frozen=True)
class Account:
    """The user of this machine that scripts run as, when that is not the supervisor's own."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str

    @classmethod
    def of(cls, name: str) -> Account:
        """:raises NodeError: there is no such user, or this process cannot become another user."""
        if os.getuid() != 0:
            raise NodeError(f"script_user {name}: only root can run scripts as another user")
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise NodeError(f"script_user {name}: there is no such user on this machine") from None
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell)

    def variables(self) -> dict[str, str]:
        """What its login would have in the environment."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell or "/bin/sh"}

    def own(self, path: Path) -> None:
        """Give a file or a folder to the user; not what a link leads to."""
        os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def become(self) -> None:
        """Turn this process into the user's, for good."""
        os.initgroups(self.name, self.gid)
        os.setgid(self.gid)
        os.setuid(self.uid)


def own(account: Account | None, path: Path) -> None:
    """Give a file or a folder to the user that scripts run as, if it is another one."""
    if account is not None:
        account.own(path)
