# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""Bring a virtual lab up, and take it down."""

# There is no module here whose run_command could be called.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import contextlib
import fcntl
import inspect
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import typing as t
from dataclasses import dataclass

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._locks import locked
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab import machines as machines_program
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab import settings as lab_settings
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.settings import LabSettings
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.state import (
    MACHINE_PATH,
    LabState,
    Process,
    find_lab,
    live_labs,
    make_state_home,
    state_homes,
)

END_TIMEOUT = 30

PACKAGES = {"ip": "iproute2", "nsenter": "util-linux", "sshd": "openssh-server", "ssh-keygen": "openssh-client"}

CAP_NET_ADMIN, CAP_SYS_ADMIN = 12, 21
NS_GET_USERNS = 0xB701

DEFAULT_NODES = (
    {"name": "server-1", "roles": ["server"]},
    {"name": "client-1", "roles": ["client"]},
    {"name": "client-2", "roles": ["client"]},
)

SSHD_CONFIG = """\
AddressFamily inet
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys .ssh/authorized_keys
AuthenticationMethods publickey
PermitRootLogin prohibit-password
AllowUsers root
UsePAM no
UseDNS no
PrintMotd no
PidFile none
MaxStartups 200
MaxSessions 200
Subsystem sftp internal-sftp
SetEnv PATH=MACHINE_PATH
""".replace("MACHINE_PATH", MACHINE_PATH)


@dataclass(frozen=True)
class Request:
    """What the user asks for. C(network=None) has a free one chosen."""

    name: str
    directory: str
    nodes: t.Sequence[t.Mapping[str, t.Any]] = DEFAULT_NODES
    links: int = 1
    mtu: int = 1500
    network: str | None = None
    ssh: bool = False
    python: str | None = None
    shared_folders: t.Sequence[str] = ()
    replace: bool = False


@dataclass(frozen=True)
class LabChange:
    changed: bool
    before: LabSettings | None
    after: LabSettings | None
    state: LabState | None = None


def is_privileged() -> bool:
    """Whether namespaces can be had without a user namespace, and the controller's own network can be changed."""
    with open("/proc/self/status", encoding="utf-8") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    capable = all(effective >> capability & 1 for capability in (CAP_NET_ADMIN, CAP_SYS_ADMIN))
    return os.geteuid() == 0 and capable and _owns_network()


def _owns_network() -> bool:
    """Root of a user namespace can hold every capability and still not be root of the network it is in."""
    network = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        owner = fcntl.ioctl(network, NS_GET_USERNS)
    except PermissionError:
        return False
    finally:
        os.close(network)
    try:
        return os.fstat(owner).st_ino == os.stat("/proc/self/ns/user").st_ino
    finally:
        os.close(owner)


def inventory_path(settings: LabSettings) -> str:
    return os.path.join(settings.directory, "inventory.yml")


def cluster_path(settings: LabSettings) -> str:
    return os.path.join(settings.directory, settings.name)


# ---------------------------------------------------------------- up


def up(request: Request, *, check: bool = False) -> LabChange:
    """Bring the lab up; a lab that is up as asked for stays as it is."""
    lab_settings.lab_name(request.name)
    _check_tools(request)
    with _lock(check=check):
        present = find_lab(request.name)
        if present is not None and present.alive():
            wanted = _settings(request, network=_named_network(request, taken=()) or present.settings.network)
            missing = present.missing()
            if wanted == present.settings and not missing:
                changed = _write_files(present, check=check)
                return LabChange(changed, present.settings, present.settings, present)
            if not missing and not request.replace:
                raise InputError(_difference(present.settings, wanted))
        wanted = _settings(request, network=_choose_network(request, present))
        _refuse_a_folder_in_use(wanted)
        before = present.settings if present is not None and present.alive() else None
        if check:
            return LabChange(True, before, wanted)
        if present is not None:
            _end(present)
        state = _start(wanted)
        _write_files(state, check=False)
        return LabChange(True, before, wanted, state)


def _refuse_a_folder_in_use(wanted: LabSettings) -> None:
    """Two labs would write the same inventory."""
    for lab in live_labs():
        if lab.settings.name != wanted.name and lab.settings.directory == wanted.directory:
            raise InputError(
                f"the virtual lab {lab.settings.name} has its inventory in {wanted.directory}: have the lab {wanted.name} write "
                "its own into another folder, or take the other one down first"
            )


def _check_tools(request: Request) -> None:
    for tool in ("ip", "nsenter"):
        _tool(tool)
    if request.python is not None and not _is_usable(request.python):
        raise InputError(f"{request.python} is no Python interpreter of version 3.9 or later on this machine")
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        raise InputError("a virtual lab needs Linux 5.3 or later") from error
    if not request.ssh:
        return
    if not is_privileged():
        raise InputError(
            "machines of a virtual lab can be reached over ssh only when root brings it up, because an ordinary user "
            "cannot give the controller a card in the management network: run as root, or leave ssh off"
        )
    for tool in ("sshd", "ssh-keygen"):
        _tool(tool)


def _settings(request: Request, *, network: str) -> LabSettings:
    lab_settings.check_links(request.links, request.mtu)
    return LabSettings(
        name=request.name,
        directory=os.path.abspath(request.directory),
        nodes=lab_settings.machines(request.nodes, links=request.links, network=network),
        links=request.links,
        mtu=request.mtu,
        network=network,
        ssh=request.ssh,
        python=request.python or machine_python(),
        shared_folders=lab_settings.shared_folders(request.shared_folders),
    )


def machine_python() -> str:
    """A Python that the machines can run: the system's own, else what a virtual environment here is made from."""
    system = "/usr/bin/python3"
    return system if _is_usable(system) else os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def _is_usable(python: str) -> bool:
    probe = [python, "-I", "-c", "import sys; print(sys.version_info >= (3, 9))"]
    try:
        return subprocess.run(probe, capture_output=True, check=False).stdout.strip() == b"True"
    except OSError:
        return False


def _choose_network(request: Request, present: LabState | None) -> str:
    taken = _routed_networks(besides=present.settings.host_interface if present else None) if is_privileged() else []
    return _named_network(request, taken=taken) or lab_settings.free_network(taken, len(request.nodes))


def _named_network(request: Request, *, taken: t.Iterable[ipaddress.IPv4Network]) -> str | None:
    return None if request.network is None else lab_settings.management_network(request.network, taken)


def _routed_networks(*, besides: str | None) -> list[ipaddress.IPv4Network]:
    command = [_tool("ip"), "-4", "-json", "route", "show", "table", "all"]
    routes = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return [
        ipaddress.IPv4Network(route["dst"], strict=False)
        for route in routes
        if route["dst"] != "default" and route.get("dev") != besides
    ]


def _difference(present: LabSettings, wanted: LabSettings) -> str:
    before, after = present.as_dict(), wanted.as_dict()
    names = ", ".join(key for key in before if before[key] != after[key])
    return (
        f"the virtual lab {present.name} is up with another set-up (different: {names}); "
        f"take it down first, or ask to have it replaced"
    )


def _start(settings: LabSettings) -> LabState:
    folder = os.path.join(make_state_home(), settings.name)
    # What a call that was killed half way has left.
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.join(folder, "cut"), mode=0o700)
    privileged = is_privileged()
    try:
        program, config = os.path.join(folder, "machines.py"), os.path.join(folder, "config.json")
        # Inside Ansible's archive of a module there is no file to run.
        _write(program, inspect.getsource(machines_program))
        _write(config, json.dumps(_start_config(settings, folder, privileged)), mode=0o600)
        with _starter([settings.python, "-I", "-S", program, config]) as answer:
            state = LabState(
                folder=folder,
                settings=settings,
                user_namespace=not privileged,
                switch=Process.of(answer["switch"]),
                machines={node.name: Process.of(answer["nodes"][node.name]) for node in settings.nodes},
            )
            os.unlink(config)
            state.write()
    except BaseException:
        shutil.rmtree(folder)
        raise
    return state


def _start_config(settings: LabSettings, folder: str, privileged: bool) -> dict[str, t.Any]:
    return {
        "name": settings.name,
        "log": os.path.join(folder, "log"),
        "user_namespace": not privileged,
        "nodes": settings.as_dict()["nodes"],
        "links": settings.links,
        "mtu": settings.mtu,
        "prefix_length": settings.prefix_length,
        "controller": {"interface": settings.host_interface, "address": settings.controller_address}
        if privileged
        else None,
        "hosts": lab_settings.hosts_file(settings),
        "keep": [os.path.dirname(os.path.dirname(settings.python)), *settings.shared_folders],
        "ssh": _make_keys(settings, folder) if settings.ssh else None,
    }


@contextlib.contextmanager
def _starter(command: list[str]) -> t.Iterator[dict[str, t.Any]]:
    """Run the starter. The lab that it announces is kept when the block ends well, and gone otherwise."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": MACHINE_PATH, "LANG": "C.UTF-8"},
    ) as starter:
        stdin, stdout, stderr = (t.cast(t.IO[bytes], pipe) for pipe in (starter.stdin, starter.stdout, starter.stderr))
        answer = stdout.readline()
        if not answer:
            raise NodeError(f"the virtual lab did not come up: {stderr.read().decode(errors='replace').strip()}")
        message = json.loads(answer)
        if "error" in message:
            raise NodeError(f"the virtual lab did not come up: {message['error']}")
        yield message
        stdin.write(b"keep\n")


# ---------------------------------------------------------------- ssh


def _make_keys(settings: LabSettings, folder: str) -> dict[str, str]:
    keys = os.path.join(folder, "ssh")
    os.makedirs(os.path.join(keys, "control"), mode=0o700)
    for name in ("host_key", "user_key"):
        command = [
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            f"virtual lab {settings.name}",
            "-f",
            f"{keys}/{name}",
        ]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    host_key = " ".join(_read(f"{keys}/host_key.pub").split()[:2])
    _write(f"{keys}/known_hosts", "".join(f"{node.name},{node.address} {host_key}\n" for node in settings.nodes))
    return {
        "program": _tool("sshd"),
        "config": SSHD_CONFIG,
        "host_key": _read(f"{keys}/host_key"),
        "authorized_key": _read(f"{keys}/user_key.pub"),
    }


def _ssh_variables(state: LabState) -> dict[str, str]:
    """Nothing of the user's own ssh set-up, so that the lab is the same for everyone."""
    if not state.settings.ssh:
        return {}
    keys = os.path.join(state.folder, "ssh")
    options = {
        "UserKnownHostsFile": f'"{keys}/known_hosts"',
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": "2",
    }
    return {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": f"{keys}/user_key",
        **_control_path(f"{keys}/control"),
        "ansible_ssh_common_args": " ".join(["-F none", *(f"-o '{name}={value}'" for name, value in options.items())]),
    }


def _control_path(folder: str) -> dict[str, str]:
    """Connections that outlive a task must not outlive the lab. Without room for a socket's name there are none."""
    return {"ansible_control_path_dir": folder} if len(folder) < 75 else {"ansible_control_path": "none"}


def _end_ssh_masters(state: LabState) -> None:
    control = os.path.join(state.folder, "ssh", "control")
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(control):
            command = ["ssh", "-F", "none", "-o", f"ControlPath={control}/{name}", "-O", "exit", "virtual-lab"]
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=END_TIMEOUT, check=False)


# ---------------------------------------------------------------- files for the user


def _write_files(state: LabState, *, check: bool) -> bool:
    settings = state.settings
    content = {
        inventory_path(settings): lab_settings.inventory_file(
            settings, state_file=state.file, ssh_variables=_ssh_variables(state)
        ),
        cluster_path(settings): lab_settings.cluster_file(settings),
    }
    stale = [path for path, text in content.items() if not os.path.exists(path) or _read(path) != text]
    if not check:
        for path in stale:
            os.makedirs(settings.directory, exist_ok=True)
            _write(path, content[path])
    return bool(stale)


def _remove_files(settings: LabSettings) -> None:
    for path in (inventory_path(settings), cluster_path(settings)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    # Somebody else's files in there are not ours to remove.
    with contextlib.suppress(OSError):
        os.rmdir(settings.directory)


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _write(path: str, content: str, *, mode: int = 0o644) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        file.write(content)


# ---------------------------------------------------------------- down


def down(name: str, *, check: bool = False) -> LabChange:
    """Take the lab down, or tidy up after one that has died."""
    lab_settings.lab_name(name)
    with _lock(check=check):
        present = find_lab(name)
        if present is None:
            return LabChange(False, None, None)
        if not check:
            _end(present)
            _remove_files(present.settings)
        return LabChange(True, present.settings, None)


def _end(state: LabState) -> None:
    _end_ssh_masters(state)
    _kill(state.switch)
    if not state.user_namespace:
        # The kernel would remove the card by itself, but in its own time.
        command = [_tool("ip"), "link", "delete", "dev", state.settings.host_interface]
        subprocess.run(command, capture_output=True, check=False)
    shutil.rmtree(state.folder)


def _kill(process: Process) -> None:
    if not process.kill(within=END_TIMEOUT):
        raise NodeError(
            f"process {process.pid} of the virtual lab has not ended within {END_TIMEOUT} seconds after it was killed: "
            "it waits for a stopped process that has entered the lab"
        )


@contextlib.contextmanager
def _lock(*, check: bool) -> t.Iterator[None]:
    """Two calls at once for one user would choose the same network."""
    if check and not os.path.isdir(state_homes()[0]):
        yield
        return
    with locked(make_state_home()):
        yield


def _tool(name: str) -> str:
    """Not every user's PATH has the folders for root's tools."""
    path = shutil.which(name, path=MACHINE_PATH)
    if path is None:
        raise InputError(f"{name} is not installed on this machine: install the package {PACKAGES[name]}")
    return path
