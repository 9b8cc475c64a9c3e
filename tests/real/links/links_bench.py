# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines for the tests of direct links: network namespaces with cards, joined by cables or a switch."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import typing as t
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.repository import COLLECTIONS
from support.waiting import wait_until

HERE = Path(__file__).resolve().parent
_numbers = itertools.count(1)


Links = t.Sequence[t.Mapping[str, t.Any]]


class Refused(Exception):
    """What the user would be told."""


# Found once: a test may put another one in the way of what it tests.
IP = shutil.which("ip") or "ip"


def ip(*arguments: str) -> str:
    done = subprocess.run([IP, *arguments], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr}")
    return done.stdout


class Caller:
    """The process from which all calls are forked."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.socket = folder / "calls"
        self.process = subprocess.Popen(
            [python, str(HERE / "call_links.py"), str(self.socket)],
            env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
            stdin=subprocess.PIPE,
        )
        wait_until("the process of the calls listens", self.listens)

    def listens(self) -> bool:
        assert self.process.poll() is None
        return self.socket.exists()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


class Call:
    def __init__(self, caller: Caller, request: dict[str, t.Any]) -> None:
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.settimeout(60)
        self.connection.connect(str(caller.socket))
        self.stream = self.connection.makefile("rw", encoding="utf-8")
        self.pid = int(self.stream.readline())
        print(json.dumps(request), file=self.stream, flush=True)

    def answer(self) -> dict[str, t.Any]:
        with self.connection, self.stream:
            text = self.stream.readline()
        if not text:
            raise ChildProcessError("killed before it could answer")
        result: dict[str, t.Any] = json.loads(text)
        if "error" in result:
            raise Refused(result["error"])
        return result

    def kill(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


@dataclass
class Machine:
    caller: Caller
    namespace: str
    records: Path
    environment: dict[str, str] = field(default_factory=dict)

    def ip(self, *arguments: str) -> str:
        return ip("-n", self.namespace, *arguments)

    def record(self, run: str = "a.1.1") -> Path:
        return self.records / f"{run}.links.json"

    def start(self, function: str, *arguments: t.Any, **options: t.Any) -> Call:
        request = {"function": function, "arguments": arguments, "options": options}
        return Call(self.caller, {"namespace": self.namespace, "environment": self.environment, **request})

    def call(self, function: str, *arguments: t.Any, **options: t.Any) -> dict[str, t.Any]:
        return self.start(function, *arguments, **options).answer()

    def apply(self, links: Links, run: str = "a.1.1", **options: t.Any) -> dict[str, t.Any]:
        return self.call("apply", links, record=str(self.record(run)), **options)

    def remove(self, run: str = "a.1.1", **options: t.Any) -> dict[str, t.Any]:
        return self.call("remove", record=str(self.record(run)), **options)

    def state(self) -> dict[str, t.Any]:
        """All that a run must leave as it was, less what the kernel does by itself while a link is up."""
        devices = json.loads(self.ip("-details", "-json", "address", "show"))
        return {
            device["ifname"]: {
                "up": "UP" in device["flags"],
                "mtu": device["mtu"],
                "mac": device["address"],
                "addresses": sorted(
                    (
                        {key: value for key, value in address.items() if key not in ("tentative", "nodad")}
                        for address in device["addr_info"]
                        if address.get("local", "").partition(":")[0] != "fe80"
                    ),
                    key=lambda address: (address["local"], address["prefixlen"]),
                ),
            }
            for device in devices
        }

    def addresses(self, device: str) -> list[str]:
        return [f"{address['local']}/{address['prefixlen']}" for address in self.state()[device]["addresses"]]

    def up(self, device: str) -> bool:
        return bool(self.state()[device]["up"])

    def left_behind(self) -> list[str]:
        return sorted(path.name for path in self.records.iterdir()) if self.records.exists() else []


def set_value(machine: Machine, setting: str, value: int) -> None:
    """Set a value of the kernel that a machine has to itself."""
    in_namespace(machine, f"echo {value} > {setting}")


def value_of(machine: Machine, setting: str) -> int:
    return int(in_namespace(machine, f"cat {setting}"))


def in_namespace(machine: Machine, command: str) -> str:
    whole = ["ip", "netns", "exec", machine.namespace, "sh", "-c", command]
    return subprocess.run(whole, check=True, capture_output=True, text=True, timeout=30).stdout


@dataclass
class Bench:
    """Where machines are put together; all of it is gone at the end."""

    caller: Caller
    folder: Path
    stack: ExitStack

    def machine(self) -> Machine:
        namespace = f"links-{os.getpid()}-{next(_numbers)}"
        ip("netns", "add", namespace)
        self.stack.callback(ip, "netns", "del", namespace)
        machine = Machine(self.caller, namespace, self.folder / namespace)
        machine.ip("link", "set", "lo", "up")
        return machine

    def cable(self, one: Machine, card: str, mac: str, other: Machine, other_card: str, other_mac: str) -> None:
        ip(
            *("link", "add", card, "netns", one.namespace, "address", mac, "type", "veth"),
            *("peer", "name", other_card, "netns", other.namespace, "address", other_mac),
        )


@contextmanager
def bench(caller: Caller, folder: Path) -> t.Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(caller, folder, stack)
