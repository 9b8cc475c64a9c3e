# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Phase, ScriptKind

Script = t.TypeVar("Script", bound=t.Mapping[str, t.Any])


def scripts_of_phase(scripts: t.Sequence[Script], phase: str) -> list[Script]:
    """Those scripts that run in a phase, kind after kind, and each kind in the order that is given."""
    kinds = list(ScriptKind)
    for script in scripts:
        if script.get("kind") not in kinds:
            raise AnsibleFilterError(
                f"script {script.get('name')!r}: the kind {script.get('kind')!r} is none of {', '.join(kinds)}."
            )
    if phase not in list(Phase):
        raise AnsibleFilterError(f"{phase!r} is no phase: they are {' and '.join(Phase)}.")
    of_phase = [kind for kind in kinds if kind.properties.phase == phase]
    return [script for kind in of_phase for script in scripts if script["kind"] == kind]


class FilterModule:
    """Filters for playbooks that run scripts."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"scripts_of_phase": scripts_of_phase}
