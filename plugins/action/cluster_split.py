# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.coordinator import check_queueing
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.split import SPLIT, plan_of
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.settings import RedisSettings
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions import script_tree
from ansible_collections.lab.multidevice.plugins.plugin_utils._actions.base import CoordinationAction
from ansible_collections.lab.multidevice.plugins.plugin_utils._exchange import open_exchange, tree_name
from ansible_collections.lab.multidevice.plugins.plugin_utils._relay import _client as relay


class ActionModule(CoordinationAction):
    operation = SPLIT

    def prepare(self, options: dict[str, t.Any]) -> None:
        """The job file is the controller's, also where another machine registers it."""
        if options["queued"]:
            check_queueing(options["priority"], options["queue_timeout"])
        if options["plan"] is None:
            options["plan"] = plan_of(options)
            options["job"] = None

    def _work(self, options: dict[str, t.Any]) -> dict[str, t.Any]:
        if options["queued"] and not self._task.check_mode:
            options["trees"] = self._offer_trees(options)
        return super()._work(options)

    def _offer_trees(self, options: dict[str, t.Any]) -> dict[str, str]:
        """Put the script trees where the workers find them; returns their checksums by folder."""
        nodes = [node for run in options["plan"]["runs"] for node in run["nodes"]]
        roots = sorted({script["root"] for node in nodes for script in node["scripts"] if script["root"]})
        exchange = open_exchange(options["exchange"], RedisSettings.from_options(options))
        trees = {}
        for root in roots:
            checksum, archive = script_tree.pack(Path(root), relay.cache_folder())
            size, limit = archive.stat().st_size, options["trees_limit"]
            if size > limit:
                raise InputError(
                    f"{root}: the scripts take {size} bytes when packed, more than the {limit} that may go through the "
                    "exchange; leave large files out of it, or set trees_limit and have them go through a shared folder"
                )
            exchange.put(tree_name(checksum), archive, keep_seconds=options["retention"])
            trees[root] = checksum
        return trees

    def _delegate(self, options: dict[str, t.Any], variables: dict[str, t.Any]) -> dict[str, t.Any]:
        if options["queued"]:
            raise InputError("queued: a submission is put into queues by the controller itself, not by another machine")
        return super()._delegate(options, variables)
