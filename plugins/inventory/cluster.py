# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster
short_description: Turn a cluster file into hosts and role groups
version_added: 0.1.0
description:
  - Reads a cluster file, the same that a job names with C(cluster:), and makes every node a host and every role a group.
  - For the playbooks of a lab. C(lab.multidevice.multidevice) itself needs no such inventory.
  - How to reach the machines is not in a cluster file. Say it in another inventory source, or in C(group_vars) or C(host_vars)
    beside this one.
  - O(compose), O(groups) and O(keyed_groups) make variables and groups of what is known of a host - the variables below, those
    of inventory sources that are read before this one, and C(host_vars) and C(group_vars) beside any of these sources.
author:
  - lab.multidevice contributors (@lab)
extends_documentation_fragment:
  - ansible.builtin.constructed
requirements:
  - PyYAML
  - netaddr
options:
  plugin:
    description:
      - The name of this plugin, so that no other one takes the file.
    type: str
    required: true
    choices:
      - lab.multidevice.cluster
  cluster:
    description:
      - Name of the cluster file, or a path to it.
      - A name is looked up in the folder of the inventory source, in its folder C(cluster), and in O(cluster_paths).
      - Relative paths start at the folder of the inventory source.
    type: str
    required: true
  cluster_paths:
    description:
      - More folders with cluster files.
    type: list
    elements: path
    default: []
  group_prefix:
    description:
      - Put before the name of each role to make the name of its group.
      - What cannot be in the name of a group, such as V(-), becomes V(_).
    type: str
    default: ""
notes:
  - The name of the inventory source must end in C(cluster.yml) or C(cluster.yaml).
  - Each host gets the variables C(multidevice_cluster), C(multidevice_roles), C(multidevice_macs), and C(multidevice_queue).
  - Direct addresses belong to a run, not to a machine, so they are not among the variables.
"""

EXAMPLES = r"""
# rack12.cluster.yml, with the cluster file beside it in cluster/rack12
plugin: lab.multidevice.cluster
cluster: rack12

---
# Another folder, and groups called role_server, role_client
plugin: lab.multidevice.cluster
cluster: rack12
cluster_paths:
  - ~/lab/cluster
group_prefix: role_

---
# How the machines are reached, and groups by the rack that host_vars/<machine>.yml names
plugin: lab.multidevice.cluster
cluster: rack12
compose:
  ansible_host: inventory_hostname ~ '.lab.example.com'
groups:
  wired: multidevice_macs | length > 0
keyed_groups:
  - key: rack
    prefix: rack
"""

import functools
import os
import typing as t

from ansible.errors import AnsibleParserError
from ansible.inventory.helpers import get_group_vars, sort_groups
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible.utils.unsafe_proxy import wrap_var as make_unsafe
from ansible.utils.vars import combine_vars
from ansible.vars.plugins import get_vars_from_inventory_sources
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.module_utils._names import queue_of, shell_name
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.cluster_file import Cluster, find_cluster

if t.TYPE_CHECKING:
    from ansible.inventory.data import InventoryData
    from ansible.inventory.host import Host
    from ansible.parsing.dataloader import DataLoader


class InventoryModule(BaseInventoryPlugin, Constructable):
    NAME = "lab.multidevice.cluster"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith(("cluster.yml", "cluster.yaml"))

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        folder = os.path.dirname(os.path.abspath(path))
        others = map(os.path.expanduser, self.get_option("cluster_paths"))
        folders = [folder, os.path.join(folder, "cluster"), *others]
        try:
            cluster = find_cluster(self.get_option("cluster"), folders, relative_to=folder)
        except MultideviceError as exc:
            raise AnsibleParserError(str(exc)) from exc
        self._add(cluster, inventory)
        if self.get_option("compose") or self.get_option("groups") or self.get_option("keyed_groups"):
            for node in cluster.nodes:
                self._construct(inventory.hosts[node.name], inventory, [*inventory.processed_sources, path])

    def _add(self, cluster: Cluster, inventory: InventoryData) -> None:
        prefix = self.get_option("group_prefix")
        groups = {role: inventory.add_group(shell_name(prefix + role)) for role in cluster.roles}
        for node in cluster.nodes:
            host = inventory.add_host(make_unsafe(node.name))
            for name, value in (
                ("cluster", cluster.name),
                ("roles", node.roles),
                ("macs", node.macs),
                ("queue", queue_of(node.name)),
            ):
                inventory.set_variable(host, f"multidevice_{name}", make_unsafe(value))
            for role in node.roles:
                inventory.add_child(groups[role], host)

    def _construct(self, host: Host, inventory: InventoryData, sources: list[str]) -> None:
        """Variables and groups of a host's variables, and then of those that have just been made as well."""
        strict = self.get_option("strict")
        known = self._variables(host, inventory, sources)
        self._set_composite_vars(self.get_option("compose"), known, host.name, strict=strict)
        known = self._variables(host, inventory, sources)
        for add, wanted in (
            (self._add_host_to_composed_groups, self.get_option("groups")),
            (self._add_host_to_keyed_groups, self.get_option("keyed_groups")),
        ):
            add(wanted, known, host.name, strict=strict, fetch_hostvars=False)

    def _variables(self, host: Host, inventory: InventoryData, sources: list[str]) -> dict[str, t.Any]:
        """What Ansible knows of a host by now, in its own order of precedence."""
        # New groups become children of `all` only when the whole inventory has been read.
        groups = sort_groups({inventory.groups["all"], *host.get_groups()})
        layers = (
            get_group_vars(groups),
            get_vars_from_inventory_sources(self.loader, sources, groups, "all"),
            host.get_vars(),
            get_vars_from_inventory_sources(self.loader, sources, [host], "all"),
        )
        return functools.reduce(combine_vars, layers)
