# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.state import STATE
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.delegated import DelegatedAction


class ActionModule(DelegatedAction):
    operation = STATE
