# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A terminal in which a reader types what a page says."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# With processes and a network of its own: what the reader has left running ends with the terminal, and no lab of
# somebody else is in the way.
ALONE = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")


@dataclass(frozen=True)
class Answer:
    output: str
    code: int


class Terminal:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._typed = 0

    def type(self, command: str, *, seconds: float = 120) -> Answer:
        """Type a command and wait until it has ended; the output holds what it has written to both streams."""
        assert self._process.stdin and self._process.stdout
        self._typed += 1
        mark = f"end of command {self._typed} with exit code "
        # What $? was is kept, as the next command may ask for it.
        line = f"{{ (exit $code); {command}\n}} </dev/null 2>&1; code=$?; echo '{mark}'$code\n"
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()
        text, deadline = "", time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while mark not in text or not text.endswith("\n"):
                assert selector.select(deadline - time.monotonic()), (
                    f"{command} has not ended after {seconds:g} s:\n{text}"
                )
                data = os.read(self._process.stdout.fileno(), 65536)
                assert data, f"{command} has ended the terminal:\n{text}"
                text += data.decode(errors="replace")
        output, _unused, code = text.rpartition(mark)
        return Answer(output, int(code))


@contextmanager
def terminal(folder: Path, environment: t.Mapping[str, str], prefix: t.Sequence[str] = ()) -> t.Iterator[Terminal]:
    with subprocess.Popen(
        [*prefix, "bash", "--noprofile", "--norc"],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            yield Terminal(process)
        finally:
            process.kill()
