# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command in namespaces of its own: nothing that it changes or leaves behind can be seen outside of them."""

from __future__ import annotations

import collections.abc as c
import contextlib
import os
import signal
import subprocess

NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts")
# Its own /run, which holds network namespaces, records and sockets; /var/tmp, where runs have their folders; ~/.ansible,
# where connections of ssh are shared by address; the folders of relays and of labs; and /etc, which holds hosts and users.
# Its first process reaps what others left, as init does, and ends with the command.
SET_UP = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
for folder in /tmp/multidevice-controller-0 /tmp/lab.multidevice-0 ~/.ansible; do
  mkdir -p -m 700 "$folder"
  mount -t tmpfs -o mode=700 tmpfs "$folder"
done
mkdir -p /run/apart/etc /run/apart/work /run/netns /run/lock
mount -t overlay -o lowerdir=/etc,upperdir=/run/apart/etc,workdir=/run/apart/work overlay /etc
ip link set lo up
"$@" &
set +e
wait $!
"""


def command(words: c.Sequence[str]) -> list[str]:
    """The command that runs these words apart, as root; who is not root changes nothing that others share.

    All of its processes are killed when the first process of this command is.
    """
    if os.geteuid() != 0:
        return list(words)
    return ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", "bash", "-c", SET_UP, "apart", *words]


def kill(process: subprocess.Popen[bytes]) -> None:
    """End what was started with such a command, in a session of its own, whether or not it has ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
