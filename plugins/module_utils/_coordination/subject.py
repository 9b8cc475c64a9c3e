# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.commands import Command
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.connection import Connection
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.records import cluster_of
from ansible_collections.lab.multidevice.plugins.module_utils._errors import CoordinationError

# By the code of an error that a command answers with: what makes a sentence of its detail.
Sentences = t.Mapping[str, t.Callable[[str], str]]


class Subject:
    """What is said to Redis about one subject, over a connection that several share.

    Safe to use from several threads; every call may be repeated without harm.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._prefix = connection.settings.prefix

    def _key(self, cluster_id: str, suffix: str = "") -> str:
        return f"{self._prefix}cluster/{cluster_id}" + (f"/{suffix}" if suffix else "")

    def _of_job(self, command: Command, job_id: str, *arguments: t.Any, sentences: Sentences | None = None) -> t.Any:
        """Run a command of a run that begins with one of its node jobs."""
        return self._run(command, cluster_of(job_id), (job_id, *arguments), f"job {job_id}", sentences)

    def _of_run(self, command: Command, cluster_id: str, *arguments: t.Any) -> t.Any:
        """Run a command of one run."""
        return self._run(command, cluster_id, arguments, f"run {cluster_id}", None)

    def _of_all(self, command: Command, *arguments: t.Any, sentences: Sentences | None = None) -> t.Any:
        """Run a command of what all runs share."""
        return self._run(command, "", arguments, "", sentences)

    def _run(
        self,
        command: Command,
        cluster_id: str,
        arguments: t.Sequence[t.Any],
        who: str,
        sentences: Sentences | None,
    ) -> t.Any:
        import redis

        shared = (f"{self._prefix}{name}" for name in ("cluster_state", "id2cluster", "runs"))
        try:
            return self._connection.run(command, [*shared, self._key(cluster_id)], arguments)
        except redis.exceptions.ResponseError as error:
            code, _space, detail = str(error).partition(" ")
            sentence = (sentences or {}).get(code)
            if sentence:
                raise CoordinationError(sentence(detail)) from None
            if code == "UNKNOWN":
                raise self._unknown(who) from None
            raise CoordinationError(f"{who}: no node of this run has the name or role {detail!r}") from None

    def _unknown(self, who: str) -> CoordinationError:
        return CoordinationError(
            f"{who} is not known to Redis at {self._connection.settings.address}: never registered, removed or expired"
        )
