# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workers on the machines of a virtual lab: each a shell that starts worker.yml again and again, as systemd would."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import typing as t
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.plugin_utils._coordinator import Coordinator

from support.certificates import built_with_tls, make_certificates, server_options
from support.plays import PROGRAM, Play
from support.ports import reserved_port
from support.redis_server import RedisServer, binaries
from support.repository import REPOSITORY
from support.sites import Site, new_site
from support.waiting import wait_until

# What worker.yml is run with: this repository, its environment, and the Python that this was made from.
NEEDED = [str(REPOSITORY), sys.prefix, sys.base_prefix]
# A machine's own.
HOME = "/root/worker"
BYTECODE = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
FOREVER = 'while test ! -e "$HOME/stop"; do "$0" "$@" || sleep 0.5; done'
SIGNAL = """
import os, sys
for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
    try:
        command = open(f"/proc/{pid}/cmdline").read().split("\\0")
    except OSError:
        continue
    if any(word in " ".join(command) for word in sys.argv[2:]) and "-c" not in command:
        os.kill(pid, int(sys.argv[1]))
        print(pid)
"""


@dataclass
class WorkerProcess:
    """The worker of one machine."""

    lab_workers: LabWorkers
    machine: str
    queue: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self, *, relay: bool = False) -> None:
        """End its ansible-playbook, or that and its relay, without a chance to say a word. It is started again, as systemd would."""
        names = ["playbooks/worker.yml", *(["_relay/_server.py"] if relay else [])]
        assert self.send(signal.SIGKILL, *names), f"no worker runs on {self.machine}:\n{self.output}"

    def send(self, number: signal.Signals, *names: str) -> bool:
        """Send a signal to the machine's processes with such a word in their command line; tells whether there were any."""
        lab = self.lab_workers.site.lab
        done = lab.exec(self.machine, [lab.state.settings.python, "-c", SIGNAL, str(int(number)), *names], check=False)
        return bool(done.stdout)

    def stop(self) -> None:
        """No further node job; the shell and what it has started end."""
        self.lab_workers.site.lab.exec(self.machine, ["touch", f"{HOME}/stop"], check=False)
        self.send(signal.SIGTERM, "playbooks/worker.yml")


@dataclass
class LabWorkers:
    """A virtual lab, a Redis that all of its machines reach, and workers. Each has a login with its own rights."""

    site: Site
    server: RedisServer
    submitters_url: str
    workers_login: t.Mapping[str, str]
    workers: dict[str, WorkerProcess] = field(default_factory=dict)

    @property
    def coordinator(self) -> Coordinator:
        return Coordinator.connect(RedisSettings(url=self.server.url))

    def start(self, machine: str, queue: str | None = None, **variables: t.Any) -> WorkerProcess:
        """Start the worker of a machine; without a queue, of the queue of its name."""
        queue = queue or machine
        extra = {"queue": queue, "multidevice_machine": machine, **variables}
        environment = {
            "HOME": HOME,
            "TMPDIR": HOME,
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            **self.workers_login,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
            "ANSIBLE_CONFIG": str(REPOSITORY / "playbooks" / "ansible.cfg"),
            **{name: os.environ[name] for name in BYTECODE if name in os.environ},
        }
        command = [str(PROGRAM), str(REPOSITORY / "playbooks" / "worker.yml"), "-e", json.dumps(extra)]
        shell = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        line = f"mkdir -p {HOME} && rm -f {HOME}/stop && exec env -i {shell} sh -c {shlex.quote(FOREVER)} {shlex.join(command)}"
        log = self.site.folder / f"worker-{machine}"
        with open(log, "ab") as output:
            process = subprocess.Popen(
                self.site.lab.state.machine_command(machine, ["sh", "-c", line], stream=True),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.workers[machine] = WorkerProcess(self, machine, queue, process, log)
        return self.workers[machine]

    def wait_until_idle(self, *machines: str, seconds: float = 40) -> None:
        """Until the workers of these machines, or all that were started, wait for node jobs."""
        wanted = set(machines or self.workers)
        coordinator = self.coordinator

        def all_idle() -> bool:
            idle = {worker["machine"] for worker in coordinator.queues.workers() if worker["job_id"] is None}
            return wanted <= idle and wanted <= set(self.on_duty())

        try:
            wait_until(f"idle workers on {', '.join(sorted(wanted))}", all_idle, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.outputs()}") from None

    def on_duty(self) -> list[str]:
        """The machines whose workers wait for a node job."""
        client = self.server.client()
        queues = t.cast("set[str]", client.smembers("sched/queues"))
        return [
            machine
            for queue in queues
            for machine, since in t.cast("list", client.zrange(f"sched/queue/{queue}/workers", 0, -1, withscores=True))
            if since
        ]

    def outputs(self) -> str:
        return "\n".join(f"--- {name}\n{worker.output[-3000:]}" for name, worker in self.workers.items())

    def submit(self, job: Path | str, *options: str, wait: bool = True, **variables: t.Any) -> Play:
        """Type the command that puts a job into queues."""
        play = Play(
            self.site.folder,
            "submit.yml",
            *options,
            cwd=REPOSITORY / "playbooks",
            variables={"job": str(job), "wait": wait, **variables},
            MULTIDEVICE_REDIS_URL=self.submitters_url,
        )
        self.site.plays.append(play)
        return play

    def command(self, playbook: str, **variables: t.Any) -> Play:
        """Type another command of an operator, and wait for its end."""
        play = Play(
            self.site.folder,
            playbook,
            cwd=REPOSITORY / "playbooks",
            variables=variables,
            MULTIDEVICE_REDIS_URL=self.submitters_url,
        )
        self.site.plays.append(play)
        play.wait(90)
        return play

    def end(self) -> None:
        """No worker stays."""
        for worker in self.workers.values():
            worker.stop()
        for worker in self.workers.values():
            try:
                worker.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(worker.process.pid, signal.SIGKILL)
                worker.process.wait(10)


@contextmanager
def lab_with_workers(folder: Path, machines: t.Sequence[str], redis: t.Sequence[str] = ()) -> t.Iterator[LabWorkers]:
    """A lab of some machines and the Redis that they reach, without workers so far.

    The machines reach it over TLS, where openssl and a redis-server that was built with it are at hand.
    """
    known = binaries()
    secure = built_with_tls(known.values()) if shutil.which("openssl") else None
    nodes = {name: [name.partition("-")[0]] for name in machines}
    public = folder / "public"
    public.mkdir()
    with ExitStack() as stack:
        site = stack.enter_context(new_site(folder, nodes, shared_folders=[*NEEDED, str(public)]))
        address = site.lab.state.settings.controller_address
        port = stack.enter_context(reserved_port(address))
        acl = folder / "users.acl"
        shipped = (REPOSITORY / "docs" / "redis-users.acl").read_text(encoding="utf-8").splitlines()
        users = [line for line in shipped if line.startswith("user ")]
        acl.write_text("\n".join([*users, "user default on nopass ~* &* +@all", ""]), encoding="utf-8")
        options = ["--bind", address, "--protected-mode", "no", "--aclfile", str(acl), *redis]
        login = {"MULTIDEVICE_REDIS_USERNAME": "multidevice-worker", "MULTIDEVICE_REDIS_PASSWORD": "change-me-too"}
        if secure:
            (folder / "certificates").mkdir()
            certificates = make_certificates(folder / "certificates", address)
            shutil.copy(certificates / "ca.crt", public)
            options += ["--tls-port", str(port), "--tls-auth-clients", "no", *server_options(certificates)]
            login |= {"MULTIDEVICE_REDIS_URL": f"rediss://{address}:{port}"}
            login |= {"MULTIDEVICE_REDIS_CA_CERT": str(public / "ca.crt")}
        else:
            login |= {"MULTIDEVICE_REDIS_URL": f"redis://{address}:{port}"}
        server = RedisServer(secure or known[max(known)], *options, port=0 if secure else port)
        submitters_url = f"unix://multidevice@{server.socket}?password=change-me"
        lab = LabWorkers(site, server, submitters_url=submitters_url, workers_login=login)
        try:
            yield lab
        finally:
            lab.end()
            server.close()
