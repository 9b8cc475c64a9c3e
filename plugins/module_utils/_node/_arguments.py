# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import typing as t

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.arguments import CONNECTION_ARGUMENTS
from ansible_collections.lab.multidevice.plugins.module_utils._defaults import (
    DEFAULT_GRACE,
    DEFAULT_LEASE,
    DEFAULT_RESULTS_LIMIT,
    DEFAULT_SLICE,
)
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Phase

# The options of the module role_scripts, shared with its action plugin.
ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "job_id": {"type": "str", "required": True},
    "state": {
        "type": "str",
        "choices": ["present", "started", "finished", "stopped", "collected", "absent"],
        "default": "present",
    },
    "phase": {"type": "str", "choices": [str(phase) for phase in Phase]},
    "scripts": {"type": "list", "elements": "dict"},
    "armed": {"type": "bool", "default": False},
    "env": {"type": "dict", "default": {}},
    "cpu_shares": {"type": "dict", "default": {}},
    "hosts": {
        "type": "list",
        "elements": "dict",
        "options": {
            "address": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
        },
    },
    "script_roots": {"type": "list", "elements": "path", "default": []},
    "script_archives": {"type": "dict", "default": {}},
    "keep_results": {"type": "path"},
    "script_user": {"type": "str"},
    "slice": {"type": "float", "default": DEFAULT_SLICE},
    "grace": {"type": "float", "default": DEFAULT_GRACE},
    "lease": {"type": "float", "default": DEFAULT_LEASE},
    "dest": {"type": "path"},
    "limit": {"type": "int", "default": DEFAULT_RESULTS_LIMIT},
    "keep_trees": {"type": "bool", "default": False},
    "cluster_id": {"type": "str"},
    "ssh": {"type": "bool", "default": False},
    "token": {"type": "str", "no_log": True},
    "node_dir": {"type": "path"},
    "hosts_file": {"type": "path", "default": "/etc/hosts"},
    **CONNECTION_ARGUMENTS,
}

REQUIRED_IF = [
    ("state", "started", ["phase", "scripts"]),
    ("state", "finished", ["phase"]),
    ("state", "collected", ["dest"]),
]
