# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._format import count
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.planned import Plan, PlannedScript


def plan_lines(plan: Plan) -> list[str]:
    """What would run, for a person: runs, nodes, roles, addresses, scripts with their parameters, and variables."""
    lines = [f"submission of {plan['job']}: {count(len(plan['runs']), 'run')}"]
    for run in plan["runs"]:
        params = _assignments(run["params"])
        lines.append(f"run {run['number']} on {run['cluster']}" + (f": {params}" if params else ""))
        for node in run["nodes"]:
            links = ", ".join(f"{mac} {ip}" for mac, ip in zip(node["direct_macs"], node["direct_ips"], strict=True))
            lines.append(f"  {node['node']}: {' '.join(node['roles'])}" + (f", {links}" if links else ""))
            for script in node["scripts"]:
                lines.append(f"    {script['kind']} {_script(script)}")
            shares = {name: f"{share:g}% of the CPUs" for name, share in node["cpu_shares"].items()}
            if node["env"] or shares:
                lines.append(f"    variables {_assignments({**node['env'], **shares})}")
    return lines


def _script(script: PlannedScript) -> str:
    where = f"{script['root']}/{script['path']}" if script["path"] else "in the job file"
    words = [script["name"], *map(shlex.quote, script["args"])]
    env = _assignments(
        {**script["env"], **{name: f"{share:g}% of the CPUs" for name, share in script["cpu_shares"].items()}}
    )
    return " ".join(words) + (f" {env}" if env else "") + f" ({where})"


def _assignments(values: dict[str, t.Any]) -> str:
    return " ".join(f"{name}={shlex.quote(str(value))}" for name, value in values.items())


class FilterModule:
    """Filters for playbooks that use the collection's plans."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"plan_lines": plan_lines}
