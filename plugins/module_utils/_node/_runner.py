# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import os
import signal
import time
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._node import _folders as folders
from ansible_collections.lab.multidevice.plugins.module_utils._node import _processes as processes
from ansible_collections.lab.multidevice.plugins.module_utils._node import _readiness as readiness
from ansible_collections.lab.multidevice.plugins.module_utils._node import _script as scripts
from ansible_collections.lab.multidevice.plugins.module_utils._node._account import Account
from ansible_collections.lab.multidevice.plugins.module_utils._node._script import ScriptProcess
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import (
    EventName,
    Passes,
    Phase,
    PhaseState,
    ScriptState,
)

TIMEOUT_GRACE = 1.0
# A daemon forks twice, as a rule.
GENERATIONS = 4
KILL_AGAIN = 0.05


class PhaseProgress:
    """The scripts of a phase, which run one after another, and how far they have come."""

    def __init__(self, name: Phase) -> None:
        self.name = name
        self.state = PhaseState.IDLE
        self.scripts: list[ScriptProcess] = []
        self.position = 0
        self.failed_script: str | None = None
        self.text: str | None = None

    @property
    def current(self) -> ScriptProcess | None:
        """The script that the phase waits for."""
        return self.scripts[self.position] if self.position < len(self.scripts) else None


class Forked:
    """The processes that a daemon script has left when it returned."""

    def __init__(self, script: ScriptProcess, pid: int) -> None:
        self.script = script
        self.pids: set[int] = set()
        self.sessions = {pid}

    def look(self, others: t.Container[int] | None = None) -> set[int]:
        """Find them: by the mark in their environment, by their session, or because they were found before.

        The dead count as long as nobody has reaped them: what they forked at the last moment is not seen yet.

        :param others: processes and sessions that are known to be somebody else's. What is not, and has thrown its
            environment away, is taken for this daemon's too.
        """
        found, unknown = self._seen(others)
        # What was forked by a process that died while it was looked at is there now, and was not yet.
        for _more in range(GENERATIONS):
            if found or not unknown:
                break
            found, unknown = self._seen(others)
        self.sessions.update(number for number in map(processes.session, found) if number is not None)
        self.pids = found
        return found

    def _seen(self, others: t.Container[int] | None) -> tuple[set[int], bool]:
        """Those that are found, and whether another has died before anybody could tell whose it was."""
        found = set()
        unknown = False
        for pid in processes.descendants(os.getpid(), dead=True):
            # Read once: it is empty for a moment while a process runs another program.
            mark = processes.variable(pid, processes.SCRIPT_VARIABLE)
            session = processes.session(pid)
            if (
                pid in self.pids
                or session in self.sessions
                or mark == self.script.id
                or (mark is None and others is not None and pid not in others and session not in others)
            ):
                found.add(pid)
            elif mark is None and not processes.is_alive(pid):
                unknown = True
        return found, unknown


class Runner:
    """Takes the scripts of a node job through their phases. Nothing in it waits.

    :param tell: called with the name and the data of each event.
    :param account: the user that scripts run as, if that is another one.
    """

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        tell: t.Callable[..., None],
        account: Account | None = None,
    ) -> None:
        self.environment = {**environment, **(account.variables() if account is not None else {})}
        self._account = account
        self.trees: dict[str, str] = {}
        self._results = folders.results(folder)
        self._tmp = folders.tmp(folder)
        self._tell = tell
        self._phases = {name: PhaseProgress(name) for name in Phase}
        self._by_pid: dict[int, ScriptProcess] = {}
        self._forked: list[Forked] = []
        self._readiness: readiness.Readiness | None = None
        self._timed_out: dict[str, tuple[ScriptProcess, float]] = {}
        self._stop_since: float | None = None
        self._kill_at: float | None = None

    # What the controller asks for

    def start(self, phase_name: str, plans: list[dict[str, t.Any]], *, armed: bool) -> bool:
        """Run scripts in order; ``armed``: get them ready, and wait for ``go``. False when the phase was begun before."""
        phase = self._phases[Phase(phase_name)]
        if phase.state is not PhaseState.IDLE:
            return False
        phase.scripts = [ScriptProcess.from_plan(plan) for plan in plans]
        phase.state = PhaseState.ARMED if armed else PhaseState.RUNNING
        for script in phase.scripts if armed else ():
            # The first test goes with its monitors; those behind it are made ready when it is their turn.
            if not self._arm(phase, script) or script.kind.properties.passes is not Passes.AT_ONCE:
                break
        self._advance(phase)
        return True

    def go(self, phase_name: str) -> bool:
        """Start a phase that is armed; this is all that lies between the release of the barrier and the tests."""
        phase = self._phases[Phase(phase_name)]
        if phase.state is not PhaseState.ARMED:
            return False
        ready = [script for script in phase.scripts if script.gate is not None]
        for script in ready:
            scripts.start(script)
        phase.state = PhaseState.RUNNING
        for script in ready:
            self._tell_of(script)
        self._advance(phase)
        return True

    def stop(self, grace: float) -> None:
        """TERM to everything; KILL after ``grace`` seconds. ``is_idle`` tells when all has ended."""
        if self._stop_since is None:
            self._stop_since = time.monotonic()
            self._kill_at = self._stop_since + grace
        for phase in self._phases.values():
            if phase.state in (PhaseState.IDLE, PhaseState.ARMED, PhaseState.RUNNING):
                phase.state = PhaseState.STOPPED
        for script in self._by_pid.values():
            script.stopped = True
        self._forked.clear()
        self._readiness = None
        processes.send_signal(processes.descendants(os.getpid()), signal.SIGTERM)

    @property
    def stopping_for(self) -> float:
        """Seconds since the first ``stop``."""
        return 0.0 if self._stop_since is None else time.monotonic() - self._stop_since

    @staticmethod
    def is_idle() -> bool:
        """Whether no process is left of all that was ever started."""
        return not processes.has_children()

    def write_records(self) -> None:
        """Bring each script's ``result.json`` up to date."""
        for script in self._scripts():
            if script.started is not None:
                script.write_record(self._results)

    def status(self) -> dict[str, t.Any]:
        """How far phases and scripts have come."""
        return {
            "phases": {
                name: {"state": phase.state, "script": phase.failed_script, "text": phase.text}
                for name, phase in self._phases.items()
            },
            "scripts": [script.record() for script in self._scripts()],
        }

    # What happens by itself

    def step(self) -> None:
        """Take note of what has ended and of the time, and go on with what can go on."""
        for pid, code in processes.reap():
            script = self._by_pid.pop(pid, None)
            if script is not None:
                self._ended(script, pid, code)
            elif self._readiness is None or not self._readiness.take_end(pid, code):
                self._check_forked_daemons(pid, code)
        self._check_times()
        for phase in self._phases.values():
            self._advance(phase)

    def pause(self) -> float | None:
        """Seconds until the next ``step`` is due, unless a child ends before; None when only that matters."""
        now = time.monotonic()
        waits = [readiness.INTERVAL] if self._readiness is not None else []
        for script in self._by_pid.values():
            if self._is_timed(script):
                waits.append((script.since or now) + (script.timeout or 0) - now + 0.01)
        waits += [kill_at - now for _script, kill_at in self._timed_out.values()]
        if self._kill_at is not None:
            waits.append(self._kill_at - now)
        return max(0.0, min(waits)) if waits else None

    def _scripts(self) -> list[ScriptProcess]:
        return [script for phase in self._phases.values() for script in phase.scripts]

    def _advance(self, phase: PhaseProgress) -> None:
        while phase.state is PhaseState.RUNNING:
            script = phase.current
            if script is None:
                self._end_phase(phase, PhaseState.FINISHED)
                return
            if script.pid is None:
                if not self._arm(phase, script):
                    return
                scripts.start(script)
                self._tell_of(script)
            if not self._has_passed(phase, script):
                return
            phase.position += 1

    def _arm(self, phase: PhaseProgress, script: ScriptProcess) -> bool:
        try:
            scripts.arm(
                script,
                environment=self.environment,
                results=self._results,
                trees=self.trees,
                tmp=self._tmp,
                account=self._account,
            )
        except OSError as error:
            script.state, script.finished, script.exit_code = ScriptState.ENDED, time.time(), 126
            script.note = f"could not be started: {error.strerror or error}"
            script.write_record(self._results)
            self._tell_of(script)
            self._end_phase(phase, PhaseState.FAILED, script, f"{script.title} {script.note}")
            return False
        if script.pid is None:
            raise RuntimeError(f"{script.title} was started and has no process")
        self._by_pid[script.pid] = script
        return True

    def _has_passed(self, phase: PhaseProgress, script: ScriptProcess) -> bool:
        passes = script.kind.properties.passes
        if passes is Passes.AT_ONCE:
            return True
        ended = script.state is ScriptState.ENDED
        if ended and not self._has_succeeded(phase, script):
            return False
        return ended if passes is Passes.WHEN_ENDED else self._is_ready(phase, script)

    def _has_succeeded(self, phase: PhaseProgress, script: ScriptProcess) -> bool:
        if script.exit_code == 0 and not script.timed_out:
            return True
        if script.timed_out:
            how = f"timed out after {script.timeout:g} s"
        elif script.exit_code is not None and script.exit_code < 0:
            how = f"was ended by signal {-script.exit_code}"
        else:
            how = f"ended with exit code {script.exit_code}"
        self._readiness = None
        self._end_phase(phase, PhaseState.FAILED, script, f"{script.kind} script {script.name} {how}")
        return False

    def _is_ready(self, phase: PhaseProgress, script: ScriptProcess) -> bool:
        if self._readiness is None:
            environment = {**self.environment, **script.env}
            self._readiness = readiness.Readiness(
                script.ready,
                folder=script.folder(self._results),
                environment=environment,
                account=self._account,
            )
        if script.skipped or self._readiness.is_ready(ended=script.state is ScriptState.ENDED):
            self._readiness = None
            if script.state is ScriptState.RUNNING:
                script.state = ScriptState.READY
            self._tell_of(script, ready=True)
            return True
        failure = self._readiness.failure()
        if failure:
            self._readiness = None
            self._end_phase(phase, PhaseState.FAILED, script, f"{script.title} {failure}")
        return False

    def _end_phase(
        self, phase: PhaseProgress, state: PhaseState, script: ScriptProcess | None = None, text: str | None = None
    ) -> None:
        phase.state, phase.failed_script, phase.text = state, script.id if script else None, text
        tail = ""
        if script is not None and text is not None:
            phase.text, tail = self._explained(script, text)
        code = script.exit_code if script else None
        what = {"phase": phase.name, "state": state, "script": phase.failed_script, "exit_code": code}
        self._tell(EventName.PHASE, **what, text=phase.text, tail=tail)

    def _ended(self, script: ScriptProcess, pid: int, code: int) -> None:
        was_ready = script.state is ScriptState.READY
        script.state, script.exit_code, script.finished = ScriptState.ENDED, code, time.time()
        if script.gate is not None:
            os.close(script.gate)
            script.gate = None
        if code == 0 and scripts.was_skipped(script, self._tmp):
            script.skipped, script.note = True, "its condition does not hold on this machine"
        script.write_record(self._results)
        self._tell_of(script)
        if script.kind.properties.passes is not Passes.WHEN_READY or script.stopped:
            return
        if code == 0:
            forked = Forked(script, pid)
            if forked.look(None if was_ready else self._known()):
                self._forked.append(forked)
        elif was_ready:
            self._daemon_died(script, code)

    def _known(self) -> set[int]:
        """Processes and sessions of scripts that run, and of daemons that have forked away."""
        known = set(self._by_pid).union(*(forked.pids | forked.sessions for forked in self._forked))
        for pid in self._by_pid:
            known.update(processes.descendants(pid))
        return known.union(number for number in map(processes.session, known) if number is not None)

    def _check_forked_daemons(self, pid: int, code: int) -> None:
        """A daemon that forked away has died when the last of its processes ended other than with success."""
        for forked in [forked for forked in self._forked if pid in forked.pids]:
            if not forked.look():
                self._forked.remove(forked)
                if code != 0:
                    self._daemon_died(forked.script, code)

    def _daemon_died(self, script: ScriptProcess, code: int) -> None:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        script.note = f"{script.title} ended during the run with {how}"
        script.write_record(self._results)
        text, tail = self._explained(script, script.note)
        self._tell(EventName.DIED, script=script.id, exit_code=code, text=text, tail=tail)

    def _explained(self, script: ScriptProcess, text: str) -> tuple[str, str]:
        """The text with the last line of the script's output and the state of the disk; the end of the output."""
        tail = script.tail(self._results)
        if tail:
            text = f"{text}: {tail.splitlines()[-1].strip()}"
        return text + scripts.full_disk_note(self._results), tail

    def _tell_of(self, script: ScriptProcess, **more: t.Any) -> None:
        failed = script.state is ScriptState.ENDED and script.exit_code != 0
        self._tell(EventName.SCRIPT, script=script.record(), tail=script.tail(self._results) if failed else "", **more)

    def _check_times(self) -> None:
        now = time.monotonic()
        for script in self._by_pid.values():
            if self._is_timed(script) and now > (script.since or now) + (script.timeout or 0):
                script.timed_out = True
                processes.send_signal(self._processes_of(script), signal.SIGTERM)
                self._timed_out[script.id] = (script, now + TIMEOUT_GRACE)
        for script, kill_at in list(self._timed_out.values()):
            if now >= kill_at:
                self._kill_timed_out(script)
        if self._kill_at is not None and now >= self._kill_at:
            processes.send_signal(processes.descendants(os.getpid()), signal.SIGKILL)
            self._kill_at = None if self.is_idle() else now + KILL_AGAIN

    def _kill_timed_out(self, script: ScriptProcess) -> None:
        left = self._processes_of(script)
        processes.send_signal(left, signal.SIGKILL)
        del self._timed_out[script.id]
        if left:
            self._timed_out[script.id] = (script, time.monotonic() + KILL_AGAIN)

    @staticmethod
    def _is_timed(script: ScriptProcess) -> bool:
        """A daemon's time limit is for its start; once it is ready it may run on."""
        return bool(script.timeout and script.since) and not script.timed_out and script.state is ScriptState.RUNNING

    @staticmethod
    def _processes_of(script: ScriptProcess) -> list[int]:
        living = script.pid is not None and script.state is not ScriptState.ENDED
        below = [script.pid, *processes.descendants(script.pid)] if living and script.pid is not None else []
        marked = processes.marked_below(os.getpid(), processes.SCRIPT_VARIABLE, script.id)
        return [*below, *[pid for pid in marked if pid not in below]]
