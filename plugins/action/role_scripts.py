# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import secrets
import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._archives import file_digest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination import records
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError, NodeError
from ansible_collections.lab.multidevice.plugins.module_utils._node._arguments import ARGUMENT_SPEC, REQUIRED_IF
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import PhaseState, Verdict
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions import answers, script_tree
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.node import NodeAction
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.redis_variables import with_redis_variables
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.stream import stream_commands
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay import _client as relay
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay._embedded_redis import complete_redis_settings

Result = dict[str, t.Any]


class ActionModule(NodeAction):
    """Everything but the supervisor's installation goes over the relay's open connection to it, without a trip by Ansible."""

    def work(self, variables: Result) -> Result:
        """Do what ``state`` says."""
        self._task.args = with_redis_variables(self._task.args, variables, self._templar.template)
        _validation, options = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC, required_if=REQUIRED_IF)
        if self._task.check_mode and options["state"] not in ("present", "absent", "finished"):
            return {"changed": self._would_change(options)}
        return _STATES[options["state"]](self, options, variables)

    def _present(self, options: Result, variables: Result) -> Result:
        if options["ssh"] and options["script_user"]:
            raise NodeError("ssh between the machines is for scripts of the login user: leave ssh or script_user out")
        token = secrets.token_hex(16)
        result = self._on_the_node(options, variables, token=token)
        if result.get("failed") or self._task.check_mode:
            return result
        attach = result.pop("attach")
        if not self.call_relay("attached")["attached"]:
            if not result["changed"]:
                raise NodeError(f"{options['job_id']} runs on this node already, driven by another controller")
            self._attach(options, token=token, command=attach)
        if options["ssh"]:
            self.call_relay("make_key")
        for root in options["script_roots"]:
            if root in options["script_archives"]:
                archive = Path(options["script_archives"][root])
                checksum = file_digest(archive)
            else:
                checksum, archive = script_tree.pack(Path(root), relay.cache_folder())
            put = self.call_relay("put_tree", root=root, checksum=checksum, archive=str(archive), timeout=600)
            result["changed"] |= put["changed"]
        return result

    def _would_change(self, options: Result) -> bool:
        """What start, stop and collect would say. Nothing is prepared when the whole play is in check mode."""
        if not self.call_relay("attached")["attached"]:
            return True
        status = self._request(options, {"op": "status"})
        if options["state"] == "started":
            return bool(status["phases"][options["phase"]]["state"] == PhaseState.IDLE)
        return options["state"] == "collected" or bool(status["busy"])

    def _attach(self, options: Result, *, token: str, command: list[str]) -> None:
        self.call_relay(
            "attach",
            cluster_id=options["cluster_id"],
            commands=stream_commands(self._connection, command),
            token=token,
            lease=options["lease"],
            grace=options["grace"],
            limit=options["limit"],
            redis=complete_redis_settings(options).as_options() if options["cluster_id"] else None,
        )

    def _started(self, options: Result, variables: Result) -> Result:
        exported = {"op": "export", "env": options["env"], "cpu_shares": options["cpu_shares"]}
        if options["hosts"] is not None:
            exported["hosts"] = [(entry["address"], name) for entry in options["hosts"] for name in entry["names"]]
        if options["ssh"]:
            names = [name for _address, name in exported.get("hosts", [])]
            addresses = [address for address, _name in exported.get("hosts", [])]
            keys = self.call_relay("keys")["keys"]
            exported["ssh"] = {"keys": keys, "names": sorted({*names, *addresses})}
        self._request(options, exported)
        start = {key: options[key] for key in ("phase", "scripts", "armed")}
        answer = self._request(options, {"op": "start", **start})
        return {"changed": answer["changed"], "scripts": answer["scripts"]}

    def _finished(self, options: Result, variables: Result) -> Result:
        begins = options["scripts"] is not None
        if self._task.check_mode:
            return {
                "changed": begins and self._would_change({**options, "state": "started"}),
                "answer": str(PhaseState.FINISHED),
                "scripts": [],
            }
        changed = begins and self._started(options, variables)["changed"]
        answer = self.call_relay(
            "wait",
            phase=options["phase"],
            slice=options["slice"],
            timeout=options["slice"] + 60,
        )
        result = {"changed": changed, **answer}
        if answer["answer"] in (PhaseState.FAILED, Verdict.ABORT):
            result["failed"] = True
            if answer["answer"] == PhaseState.FAILED:
                tail = f"\n{answer['tail']}" if answer["tail"] else ""
                result["msg"] = f"{self.node}: {answer['text']}{tail}"
            else:
                result["msg"] = f"the run was aborted: {records.explain(answer)}"
        return result

    def _stopped(self, options: Result, variables: Result) -> Result:
        return {"changed": self._request(options, {"op": "stop", "grace": options["grace"]})["changed"]}

    def _collected(self, options: Result, variables: Result) -> Result:
        answer = self.call_relay(
            "collect",
            dest=os.path.abspath(options["dest"]),
            limit=options["limit"],
            # As long as pieces come: the relay gives up when none does.
            timeout=None,
        )
        result = {"changed": True, **answer}
        if answer["notes"]:
            result["warnings"] = [f"{self.node}: {note}" for note in answer["notes"]]
        return result

    def _absent(self, options: Result, variables: Result) -> Result:
        if not self._task.check_mode and self.call_relay("attached")["attached"]:
            try:
                ended = self.call_relay("detach", keep_trees=options["keep_trees"])
            except MultideviceError as error:
                self._display.vvv(f"the supervisor did not end by itself: {error}")
            else:
                if ended["lost"]:
                    # Over a connection that is dead, Ansible would wait for many minutes.
                    return {"failed": True, "changed": False, "lost": True, "msg": ended["lost"]}
                if ended["changed"]:
                    return {"changed": True}
        return self._on_the_node(options, variables)

    def _request(self, options: Result, request: Result) -> Result:
        return self.call_relay("request", request=request)

    def _on_the_node(self, options: Result, variables: Result, **more: t.Any) -> Result:
        sent = {
            key: options[key]
            for key in ("job_id", "state", "lease", "node_dir", "hosts_file", "keep_results", "script_user")
        }
        answer = self._execute_module(
            module_name="lab.multidevice.role_scripts", module_args={**sent, **more}, task_vars=variables
        )
        promised = {"ip": answers.address, "attach": answers.command} if options["state"] == "present" else {}
        return answers.let_in(self.node, answer, promised)


_STATES: dict[str, t.Callable[[ActionModule, Result, Result], Result]] = {
    "present": ActionModule._present,
    "started": ActionModule._started,
    "finished": ActionModule._finished,
    "stopped": ActionModule._stopped,
    "collected": ActionModule._collected,
    "absent": ActionModule._absent,
}
