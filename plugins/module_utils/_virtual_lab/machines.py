# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""The processes of a virtual lab. A program of its own: standard library only, run as C(python3 machines.py CONFIG).

    starter          in the namespaces of whoever calls; tells on stdout when every machine is up, ends when told to
      switch         process 1 of an outer pid namespace; its network namespace holds the bridges
        machine ...  process 1 of a machine's own pid, network, mount, host name and IPC namespaces

Everything descends from the switch's pid namespace, so the end of the switch is the end of the whole lab,
whatever the reason.
"""

# No module: nothing of Ansible is here.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import typing as t

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MACHINE_NAMESPACES = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

PR_SET_NAME = 15

CREDENTIALS = struct.Struct("3i")

# Longer than 50 machines take on a busy machine, short enough for somebody who watches.
START_TIMEOUT = 60.0

# A machine sees the controller's programs, but what it writes there is its own, in memory.
COPY_ON_WRITE = ("/bin", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/sbin", "/srv", "/usr", "/var")
EMPTY = {"/dev/shm": 0o1777, "/root": 0o700, "/tmp": 0o1777, "/var/tmp": 0o1777}
OWN_FOLDER = "/run/virtual-lab"

Config = dict[str, t.Any]
Message = dict[str, t.Any]


class StartError(Exception):
    """The lab cannot come up; the text is for the user."""


_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(ctypes.c_int(flags)), "new namespaces")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    _check(
        _libc.mount(
            source.encode(),
            target.encode(),
            kind.encode() if kind else None,
            ctypes.c_ulong(flags),
            options.encode() or None,
        ),
        f"mount {kind or source} on {target}",
    )


def set_process_name(name: str) -> None:
    _libc.prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


# ---------------------------------------------------------------- messages between the processes


class Mailbox:
    """Both ends of a socket. The kernel tells the reader the sender's pid, as the reader's own namespace counts."""

    def __init__(self) -> None:
        self.reader, self.writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.reader.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.reader.settimeout(START_TIMEOUT)

    def send(self, message: Message) -> None:
        self.writer.send(json.dumps(message).encode())

    def receive(self) -> tuple[Message, int]:
        try:
            data, ancillary, _flags, _address = self.reader.recvmsg(65536, socket.CMSG_SPACE(CREDENTIALS.size))
        except socket.timeout as error:
            raise StartError(f"the virtual lab did not come up within {START_TIMEOUT:g} seconds") from error
        if not data:
            raise StartError("a process of the virtual lab ended without a word")
        message = json.loads(data)
        if "error" in message:
            raise StartError(message["error"])
        pid = CREDENTIALS.unpack(ancillary[0][2][: CREDENTIALS.size])[0]
        return message, pid


def or_report(mailbox: Mailbox, who: str, part: t.Callable[..., None], *arguments: t.Any) -> t.NoReturn:
    """Run a child process's part; what goes wrong in it becomes the starter's error."""
    try:
        part(*arguments)
    except StartError as error:
        mailbox.send({"error": str(error)})
    except Exception as error:  # pylint: disable=broad-exception-caught
        mailbox.send({"error": f"{who}: {error}"})
    os._exit(1)


def ip_batch(lines: t.Sequence[str]) -> None:
    """Carry out many C(ip) commands in one process."""
    done = subprocess.run(
        ["ip", "-batch", "-"],
        input="\n".join(lines) + "\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StartError(f"ip refused to set up the network: {' '.join(done.stdout.split())}")


# ---------------------------------------------------------------- starter


def start(config: Config) -> None:
    to_starter, to_switch = Mailbox(), Mailbox()
    child = os.fork()
    if child == 0:
        to_starter.reader.close()
        or_report(to_starter, "virtual lab", fork_switch, config, to_starter, to_switch)
    to_starter.writer.close()
    to_switch.reader.close()
    os.waitpid(child, 0)

    switch = 0
    try:
        switch = to_starter.receive()[1]
        if config["controller"]:
            connect_controller(config, switch)
        to_switch.send({"go": True})
        nodes: dict[str, int] = {}
        while True:
            message, pid = to_starter.receive()
            if "up" in message:
                break
            nodes[message["node"]] = pid
        hand_over({"switch": switch, "nodes": nodes})
    except BaseException:
        if switch:
            os.kill(switch, signal.SIGKILL)
        raise


def hand_over(answer: Message) -> None:
    """Nobody could find a lab that the caller did not live to write down, so it lives only once that is done."""
    print(json.dumps(answer), flush=True)
    if not sys.stdin.readline():
        raise StartError("the lab was not wanted any more")


def connect_controller(config: Config, switch: int) -> None:
    interface, address = config["controller"]["interface"], config["controller"]["address"]
    ip_batch(
        [
            f"link add name {interface} type veth peer name controller netns {switch}",
            f"address add {address}/{config['prefix_length']} dev {interface}",
            f"link set dev {interface} up",
        ]
    )


# ---------------------------------------------------------------- switch


def fork_switch(config: Config, to_starter: Mailbox, to_switch: Mailbox) -> None:
    os.setsid()
    if config["user_namespace"]:
        enter_user_namespace()
    try:
        unshare(MACHINE_NAMESPACES)
    except OSError as error:
        raise StartError(f"{error.strerror}. This machine does not let its root user create namespaces") from error
    if os.fork():
        os._exit(0)
    or_report(to_starter, "switch", be_switch, config, to_starter, to_switch)


def enter_user_namespace() -> None:
    user, group = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWUSER)
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"0 {user} 1")
        write("/proc/self/gid_map", f"0 {group} 1")
    except OSError as error:
        raise StartError(
            f"{error.strerror}. This machine does not let an ordinary user create namespaces: run as root, or allow it "
            "(sysctl user.max_user_namespaces above 0; on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0)"
        ) from error


def be_switch(config: Config, to_starter: Mailbox, to_switch: Mailbox) -> None:
    detach(config["log"])
    set_process_name("lab " + config["name"])
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount_proc()
    socket.sethostname("switch")
    to_starter.send({"switch": True})
    to_switch.receive()

    gate_reader, gate_writer = os.pipe()
    from_machines = Mailbox()
    for node in config["nodes"]:
        if os.fork() == 0:
            os.close(gate_writer)
            or_report(to_starter, node["name"], fork_machine, config, node, gate_reader, from_machines, to_starter)
    pids = {}
    for _node in config["nodes"]:
        message, pid = from_machines.receive()
        pids[message["node"]] = pid

    for interface in ("all", "default"):
        try_write(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6", "1")
    ip_batch(cables(config, pids))
    os.close(gate_writer)
    for _node in config["nodes"]:
        from_machines.receive()
    to_starter.send({"up": True})
    to_starter.writer.close()
    reap_for_ever()


def cables(config: Config, pids: t.Mapping[str, int]) -> list[str]:
    lines = ["link set dev lo up", "link add name management type bridge mcast_snooping 0"]
    lines += [
        f"link add name direct{link} mtu {config['mtu']} type bridge mcast_snooping 0"
        for link in range(1, config["links"] + 1)
    ]
    lines.append("link set dev management up")
    lines += [f"link set dev direct{link} up" for link in range(1, config["links"] + 1)]
    if config["controller"]:
        lines.append("link set dev controller master management up")
    for number, node in enumerate(config["nodes"], 1):
        pid = pids[node["name"]]
        lines += [
            f"link add name m{number} type veth peer name eth0 address {node['management_mac']} netns {pid}",
            f"link set dev m{number} master management up",
        ]
        for link, address in enumerate(node["macs"], 1):
            port = f"d{number}-{link}"
            lines += [
                (
                    f"link add name {port} mtu {config['mtu']} type veth "
                    f"peer name eth{link} mtu {config['mtu']} address {address} netns {pid}"
                ),
                f"link set dev {port} master direct{link} up",
            ]
    return lines


# ---------------------------------------------------------------- machine


def fork_machine(
    config: Config, node: t.Mapping[str, t.Any], gate: int, to_switch: Mailbox, to_starter: Mailbox
) -> None:
    unshare(MACHINE_NAMESPACES)
    if os.fork():
        os._exit(0)
    or_report(to_starter, node["name"], be_machine, config, node, gate, to_switch, to_starter)


def be_machine(config: Config, node: t.Mapping[str, t.Any], gate: int, to_switch: Mailbox, to_starter: Mailbox) -> None:
    os.setsid()
    set_process_name("lab " + node["name"])
    socket.sethostname(node["name"])
    own_etc = "/etc" in own_file_system(config)
    replace("/etc/hostname", node["name"] + "\n", own_etc)
    replace("/etc/hosts", config["hosts"], own_etc)
    if config["ssh"] and own_etc:
        unlock_root()
    for mailbox in (to_switch, to_starter):
        mailbox.send({"node": node["name"]})
    os.read(gate, 1)
    os.close(gate)
    ip_batch(
        [
            "link set dev lo up",
            f"address add {node['address']}/{config['prefix_length']} broadcast + dev eth0",
            "link set dev eth0 up",
        ]
    )
    if config["ssh"]:
        start_sshd(config["ssh"], node["address"])
    to_switch.send({"up": node["name"]})
    for mailbox in (to_switch, to_starter):
        mailbox.reader.close()
        mailbox.writer.close()
    reap_for_ever()


def own_file_system(config: Config) -> set[str]:
    """Make the machine's own mounts; returns the folders of the controller that it has a private layer over."""
    mount_proc()
    inner = [point for point in mount_points() if os.path.isdir(point)]
    mount_sys()
    kept = Kept(config["keep"], hidden_by=("/run", *EMPTY))
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for folder, mode in (("/run/lock", 0o1777), ("/run/sshd", 0o755), (OWN_FOLDER, 0o700)):
        make_folder(folder, mode)
    layered = set()
    for folder in COPY_ON_WRITE:
        if os.path.isdir(folder) and not os.path.islink(folder):
            below = [point for point in inner if point.startswith(folder + "/") and point not in EMPTY]
            if copy_on_write(folder, below, user_namespace=config["user_namespace"]):
                layered.add(folder)
    for folder, mode in EMPTY.items():
        if os.path.isdir(folder):
            mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode:o}")
    kept.restore()
    return layered


def mount_proc() -> None:
    try:
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError as error:
        raise StartError(
            f"{error.strerror}. A container that hides parts of /proc does not allow a virtual lab"
        ) from error


def mount_sys() -> None:
    """Show the machine's own cards under /sys/class/net. Where that is refused, only tools that read there are misled."""
    kept = Kept(["/sys/fs/cgroup"], hidden_by=("/sys",))
    try:
        mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError as error:
        print(f"lab: {error}", file=sys.stderr)
        return
    kept.restore()


def copy_on_write(folder: str, inner: t.Sequence[str], *, user_namespace: bool) -> bool:
    """Lay a private, writable layer over a folder. False where the kernel has no overlay file system for us."""
    layer = OWN_FOLDER + folder
    for part in ("upper", "work"):
        make_folder(f"{layer}/{part}", 0o755)
    options = f"lowerdir={folder},upperdir={layer}/upper,workdir={layer}/work"
    if user_namespace:
        options += ",userxattr"
    kept = Kept(inner, hidden_by=(folder,))
    try:
        mount("overlay", folder, "overlay", MS_NODEV, options)
    except OSError as error:
        print(f"lab: {error}", file=sys.stderr)
        return False
    kept.restore()
    return True


class Kept:
    """Folders that must stay visible although something is mounted above them."""

    def __init__(self, paths: t.Iterable[str], *, hidden_by: t.Iterable[str]) -> None:
        self._open: dict[str, int] = {}
        for path in paths:
            if any(path.startswith(folder + "/") for folder in hidden_by):
                try:
                    self._open[path] = os.open(path, os.O_PATH | os.O_DIRECTORY)
                except OSError:
                    # What this user cannot open, the machine cannot use either.
                    continue

    def restore(self) -> None:
        for path, descriptor in self._open.items():
            try:
                os.makedirs(path, exist_ok=True)
                mount(f"/proc/self/fd/{descriptor}", path, None, MS_BIND | MS_REC)
            except OSError as error:
                print(f"lab: {error}", file=sys.stderr)
            os.close(descriptor)


def mount_points() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        fields = [line.split(" ")[4] for line in file]
    return [field.encode("latin-1", "backslashreplace").decode("unicode_escape") for field in fields]


def replace(path: str, content: str, layered: bool) -> None:
    """Give the machine a file of its own, also where its folder is the controller's."""
    own = f"{path}.virtual-lab" if layered else f"{OWN_FOLDER}/{os.path.basename(path)}"
    write(own, content)
    os.chmod(own, 0o644)
    if layered:
        os.rename(own, path)
    else:
        mount(own, path, None, MS_BIND)


def start_sshd(ssh: t.Mapping[str, str], address: str) -> None:
    folder = OWN_FOLDER + "/ssh"
    make_folder(folder, 0o700)
    for name, content in (
        ("host_key", ssh["host_key"]),
        ("authorized_keys", ssh["authorized_key"]),
        ("sshd_config", ssh["config"].format(address=address, folder=folder)),
    ):
        write(f"{folder}/{name}", content)
        os.chmod(f"{folder}/{name}", 0o600)
    server = subprocess.Popen(  # pylint: disable=consider-using-with
        [ssh["program"], "-D", "-f", f"{folder}/sshd_config", "-E", f"{folder}/log"],
        stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    wait_for_sshd(server, address, f"{folder}/log")


def unlock_root() -> None:
    """sshd refuses even a key where the password is locked with '!'. Only for a private /etc."""
    with open("/etc/shadow", encoding="utf-8") as file:
        content = file.read()
    if "root:!" in content:
        lines = [
            line.replace("root:!", "root:*", 1) if line.startswith("root:!") else line
            for line in content.splitlines(True)
        ]
        write("/etc/shadow", "".join(lines))


def wait_for_sshd(server: subprocess.Popen[bytes], address: str, log: str) -> None:
    end = time.monotonic() + START_TIMEOUT / 2
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            if probe.connect_ex((address, 22)) == 0:
                return
        if server.poll() is not None or time.monotonic() > end:
            with open(log, encoding="utf-8", errors="replace") as file:
                raise StartError(f"sshd does not start: {' '.join(file.read().split()) or 'no reason given'}")
        time.sleep(0.02)


# ---------------------------------------------------------------- small things


def detach(log: str) -> None:
    os.chdir("/")
    os.umask(0o022)
    null = os.open(os.devnull, os.O_RDWR)
    errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(errors, 2)
    os.close(null)
    os.close(errors)


def reap_for_ever() -> t.NoReturn:
    """Be a good process 1: collect whoever has ended, go when told to."""
    signals = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        if signal.sigwait(signals) == signal.SIGTERM:
            os._exit(0)


def make_folder(path: str, mode: int) -> None:
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)


def write(path: str, content: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)


def try_write(path: str, content: str) -> None:
    try:
        write(path, content)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:
        config = json.load(file)
    try:
        start(config)
    except (StartError, OSError) as error:
        print(json.dumps({"error": str(error)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
