# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

"""The words that stand in Redis, in result files and on the lines to the machines, each with what follows from it.

docs/glossary.md says what they mean. Lua gets its tables from here: see ``tools/lua.py``.
"""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass


class Word(str, enum.Enum):
    """A word that is written as it is, in whatever language."""

    def __str__(self) -> str:
        return str(self.value)


class Phase(Word):
    """The scripts of a node job that run in one go; between the phases all nodes meet."""

    DAEMON = "daemon"
    TEST = "test"


class Passes(enum.Enum):
    """When the script behind one has its turn."""

    AT_ONCE = enum.auto()
    WHEN_READY = enum.auto()
    WHEN_ENDED = enum.auto()


@dataclass(frozen=True)
class KindProperties:
    """What is particular about the scripts of a kind.

    :param folder: where they lie in a script tree of the older layout.
    :param program_files: what they are called in ``programs/NAME/`` of the newer one.
    :param comes_first: within a block they run before its other scripts, which keep the order of the file.
    :param is_tested: its options say what is tested, so that lists of them make runs, and its failure is the run's.
    :param prefixes: what may stand before the name of a script, and a dot, to mean only this kind of it.
    """

    folder: str
    program_files: tuple[str, ...]
    phase: Phase
    passes: Passes
    comes_first: bool
    is_tested: bool
    prefixes: tuple[str, ...]

    @property
    def in_background(self) -> bool:
        """Whether it is meant to run on beside those behind it."""
        return self.passes is not Passes.WHEN_ENDED


class ScriptKind(Word):
    """What a script is for. The order is that in which the kinds of a node have their turn."""

    SETUP = "setup"
    DAEMON = "daemon"
    MONITOR = "monitor"
    TEST = "test"

    @property
    def properties(self) -> KindProperties:
        """What is particular about this kind."""
        return _PROPERTIES[self]

    @classmethod
    def of_folder(cls, folder: str) -> ScriptKind | None:
        """The kind whose scripts lie in a folder of that name."""
        return next((kind for kind in cls if kind.properties.folder == folder), None)

    @classmethod
    def of_prefix(cls, prefix: str) -> ScriptKind | None:
        """The kind that is meant by ``prefix.NAME``."""
        return next((kind for kind in cls if prefix in kind.properties.prefixes), None)


_PROPERTIES = {
    ScriptKind.SETUP: KindProperties(
        folder="setup",
        program_files=("setup",),
        phase=Phase.DAEMON,
        passes=Passes.WHEN_ENDED,
        comes_first=True,
        is_tested=True,
        prefixes=("setup",),
    ),
    ScriptKind.DAEMON: KindProperties(
        folder="daemon",
        program_files=("daemon",),
        phase=Phase.DAEMON,
        passes=Passes.WHEN_READY,
        comes_first=False,
        is_tested=True,
        prefixes=("daemon",),
    ),
    ScriptKind.MONITOR: KindProperties(
        folder="monitors",
        program_files=("monitor", "one-shot-monitor", "no-stdout-monitor"),
        phase=Phase.TEST,
        passes=Passes.AT_ONCE,
        comes_first=True,
        is_tested=False,
        prefixes=("monitor",),
    ),
    ScriptKind.TEST: KindProperties(
        folder="tests",
        program_files=("run",),
        phase=Phase.TEST,
        passes=Passes.WHEN_ENDED,
        comes_first=False,
        is_tested=True,
        prefixes=("test", "program"),
    ),
}


class ScriptState(Word):
    """How far a script has come on its machine."""

    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"  # of a daemon: it answers
    ENDED = "ended"


class PhaseState(Word):
    """How far a phase has come on its machine."""

    IDLE = "idle"
    ARMED = "armed"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


class Barrier(Word):
    """The barriers of every run, at which all of its nodes meet, in their order."""

    START = "start"
    READY = "ready"
    FINISH = "finish"


class State(Word):
    """How far a node has come. The order is the rank: a node never goes back."""

    REGISTERED = "registered"
    WRITE_STATE = "write_state"
    START = "start"
    STARTED = "started"
    READY = "ready"
    FINISH = "finish"
    ABORT = "abort"

    @property
    def rank(self) -> int:
        """The place in the order."""
        return list(State).index(self)


class Verdict(Word):
    """How a run has ended."""

    FINISH = "finish"
    ABORT = "abort"


class Report(Word):
    """What a node reports of itself."""

    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    ABORT = "abort"

    @property
    def recorded(self) -> State:
        """The state that is recorded for it."""
        return _RECORDED[self]


_RECORDED = {
    Report.STARTED: State.STARTED,
    Report.FINISHED: State.FINISH,
    Report.FAILED: State.ABORT,
    Report.ABORT: State.ABORT,
}


class ReasonKind(Word):
    """Why a run does not count as good."""

    ABORT = "abort"  # somebody or something has decided so
    FAILED = "failed"  # a script or a step on a machine
    TIMEOUT = "timeout"  # of a barrier, of the run, or for want of workers
    LOST = "lost"  # a node was not heard from
    RESULTS_LOST = "results_lost"  # all went well, and what came of it could not be fetched
    WARNINGS = "warnings"  # all went well, and warnings count as failures


class Reason(t.TypedDict):
    """Why a run does not count as good, as it stands in Redis and in ``summary.json``."""

    node: str | None
    script: str | None
    exit_code: int | None
    text: str
    kind: str


def make_reason(
    text: str,
    *,
    kind: ReasonKind = ReasonKind.ABORT,
    node: str | None = None,
    script: str | None = None,
    exit_code: int | None = None,
) -> Reason:
    """A reason, of which at least the sentence is known."""
    return {"node": node, "script": script, "exit_code": exit_code, "text": text, "kind": str(kind)}


class EventName(Word):
    """What is recorded in a run's event log, which `_history` reads."""

    # Of the run
    REGISTERED = "registered"
    QUEUED = "queued"
    RELEASE = "release"
    START_SKEW = "start_skew"
    CLOSED = "closed"
    # Of the run, or of a node
    WARNING = "warning"
    # Of a node: the states of the protocol, and who drives it
    WRITE_STATE = "write_state"
    START = "start"
    STARTED = "started"
    READY = "ready"
    FINISH = "finish"
    ABORT = "abort"  # also of the run
    ARRIVE = "arrive"
    TAKEN = "taken"
    GIVEN_BACK = "given_back"
    HANDED_IN = "handed_in"
    WORKER_LOST = "worker_lost"
    SEND = "send"
    PREPARED = "prepared"
    LEFT = "left"
    # Of a node: what its supervisor says
    SCRIPT = "script"
    PHASE = "phase"
    DIED = "died"
    STOPPED = "stopped"
    COLLECTED = "collected"
    RESULTS_LOST = "results_lost"
