#!/usr/bin/python
# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: virtual_lab
short_description: Bring up or take down a virtual lab of machines made of namespaces
version_added: 0.1.0
description:
  - Creates machines on this computer to run multi-machine jobs on. Each machine has its own network, processes, host name,
    C(/etc/hosts) and temporary folders, a management card C(eth0) with an address, and direct-link cards
    (C(eth1) and following) with known MAC addresses, left down and without an address, as in a real lab.
  - The machines are reached with the connection plugin P(lab.multidevice.netns#connection), or over SSH with O(ssh=true).
  - Run as root, or as an ordinary user where the kernel allows user namespaces. Then the machines have only one user, V(root).
  - The lab stays up when the playbook ends. It does not survive a restart of the computer.
  - A machine sees the programs and folders of this computer. What it changes in C(/etc), C(/opt), C(/srv), C(/usr) and C(/var) is its
    own, in memory, and goes with the lab. It is no safe place for programs that you do not trust.
author:
  - lab.multidevice contributors (@lab)
extends_documentation_fragment:
  - lab.multidevice._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux
requirements:
  - Linux 5.3 or later
  - iproute2 and util-linux
  - openssh-server, for O(ssh=true)
options:
  state:
    description:
      - Whether the lab is to be up (V(present)) or gone (V(absent)).
    type: str
    choices: [present, absent]
    default: present
  name:
    description:
      - Name of the lab and of its cluster file. Every lab of a user has a name of its own.
    type: str
    default: virtual-lab
  directory:
    description:
      - Folder for the cluster file and the inventory. Created if needed. Needed for O(state=present).
    type: path
  nodes:
    description:
      - The machines, in the order of the cluster file.
      - The default is one server, V(server-1), and two clients, V(client-1) and V(client-2).
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Host name of the machine, and its name in the cluster file and the inventory.
        type: str
        required: true
      roles:
        description:
          - Roles of the machine in the cluster file.
        type: list
        elements: str
        required: true
  direct_links:
    description:
      - Number of direct-link cards of each machine. The first cards of all machines are wired to one another, the second ones
        too, and so on.
    type: int
    default: 1
  direct_mtu:
    description:
      - MTU of the direct links.
    type: int
    default: 1500
  management_network:
    description:
      - IPv4 network of the management addresses. The first address is the controller's.
      - By default a part of V(198.18.0.0/15), the range for tests of network devices, that this computer has no route to.
    type: str
  ssh:
    description:
      - Whether to run an SSH server on each machine, with keys made for this lab, and have the inventory use SSH.
      - Only for root.
    type: bool
    default: false
  python:
    description:
      - Python interpreter of the machines, 3.9 or later.
      - By default C(/usr/bin/python3), or the base interpreter of the one that runs this module where that is missing or too old.
    type: path
  shared_folders:
    description:
      - Folders of this computer that the machines see too, below C(/tmp), C(/root) and others of which each machine has its own.
    type: list
    elements: path
    default: []
  replace:
    description:
      - Whether a lab of the same name that is up with other settings is taken down first. Otherwise that is an error.
    type: bool
    default: false
seealso:
  - plugin: lab.multidevice.netns
    plugin_type: connection
"""

EXAMPLES = r"""
- name: One server and two clients
  lab.multidevice.virtual_lab:
    directory: "{{ playbook_dir }}/.virtual-lab"

- name: Two machines with two direct links each and jumbo frames, reached over SSH
  lab.multidevice.virtual_lab:
    name: pair
    directory: /var/tmp/pair
    direct_links: 2
    direct_mtu: 9000
    ssh: true
    nodes:
      - name: left
        roles: [server]
      - name: right
        roles: [client]

- name: Take the lab down
  lab.multidevice.virtual_lab:
    state: absent
"""

RETURN = r"""
name:
  description: Name of the lab.
  returned: always
  type: str
  sample: virtual-lab
inventory:
  description: Path of the inventory file.
  returned: O(state=present)
  type: str
  sample: /home/me/.virtual-lab/inventory.yml
cluster_file:
  description: Path of the cluster file.
  returned: O(state=present)
  type: str
  sample: /home/me/.virtual-lab/virtual-lab
management_network:
  description: The management network.
  returned: O(state=present)
  type: str
  sample: 198.18.0.0/22
nodes:
  description: The machines.
  returned: O(state=present)
  type: list
  elements: dict
  sample:
    - name: server-1
      roles: [server]
      address: 198.18.0.2
      management_mac: "02:00:00:00:01:00"
      macs: ["02:00:00:00:01:01"]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab import control
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.settings import LabSettings


def change(params: dict[str, t.Any], check: bool) -> control.LabChange:
    if params["state"] == "absent":
        return control.down(params["name"], check=check)
    request = control.Request(
        name=params["name"],
        directory=params["directory"],
        nodes=control.DEFAULT_NODES if params["nodes"] is None else params["nodes"],
        links=params["direct_links"],
        mtu=params["direct_mtu"],
        network=params["management_network"],
        ssh=params["ssh"],
        python=params["python"],
        shared_folders=params["shared_folders"],
        replace=params["replace"],
    )
    return control.up(request, check=check)


def description(settings: LabSettings | None) -> dict[str, t.Any]:
    return {"state": "absent"} if settings is None else {"state": "present", **settings.as_dict()}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "name": {"type": "str", "default": "virtual-lab"},
            "directory": {"type": "path"},
            "nodes": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "roles": {"type": "list", "elements": "str", "required": True},
                },
            },
            "direct_links": {"type": "int", "default": 1},
            "direct_mtu": {"type": "int", "default": 1500},
            "management_network": {"type": "str"},
            "ssh": {"type": "bool", "default": False},
            "python": {"type": "path"},
            "shared_folders": {"type": "list", "elements": "path", "default": []},
            "replace": {"type": "bool", "default": False},
        },
        required_if=[("state", "present", ["directory"])],
        supports_check_mode=True,
    )
    try:
        lab_change = change(module.params, module.check_mode)
    except MultideviceError as error:
        module.fail_json(msg=str(error))
    result: dict[str, t.Any] = {
        "changed": lab_change.changed,
        "name": module.params["name"],
        "diff": {"before": description(lab_change.before), "after": description(lab_change.after)},
    }
    if lab_change.after is not None:
        result["inventory"] = control.inventory_path(lab_change.after)
        result["cluster_file"] = control.cluster_path(lab_change.after)
        result["management_network"] = lab_change.after.network
        result["nodes"] = lab_change.after.as_dict()["nodes"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
