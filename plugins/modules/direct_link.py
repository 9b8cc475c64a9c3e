#!/usr/bin/python
# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: direct_link
author:
  - lab.multidevice contributors (@lab)
version_added: 0.1.0
short_description: Give network cards that are named by their MAC their direct addresses
description:
  - Sets the addresses of all direct links of a machine in one call, brings the cards up, and takes everything back to
    exactly what was before.
  - Needs nothing on the machine but Python and iproute2.
  - A card is named by its MAC address. The permanent address counts where the current one differs, as on the ports of a
    bond. What is built on top of a card and shares its MAC, like a VLAN, a bridge or a bond, is not taken for the card.
  - With O(job_id), what has been added is recorded on the machine before anything is changed. Whoever is left can take
    it back, whatever has happened in between. A call that fails takes back what it has done itself.
  - Addresses that were there before, and those of other runs, are never touched.
extends_documentation_fragment:
  - lab.multidevice._attributes
attributes:
  action:
    description:
      - Has an action plugin of the same name, so that the task can do without a trip to the machine.
    support: partial
    details:
      - Where M(lab.multidevice.role_scripts) has prepared the machine for the same O(job_id), its supervisor does the work.
  check_mode:
    support: full
    details:
      - Nothing is sent in check mode, so O(check_duplicates), O(check_peers) and O(carrier_timeout) have no effect.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    support: full
    platforms: linux
options:
  links:
    description:
      - All direct links of the machine.
      - With O(job_id) the list is the whole truth of that run. An address that an earlier call of the run added, and
        that is no longer listed, is removed.
      - Required with O(state=present), and with O(state=absent) when there is no O(job_id).
    type: list
    elements: dict
    suboptions:
      mac:
        description:
          - The MAC address of the network card, in upper or lower case, with V(:) or V(-).
        type: str
        required: true
      ip:
        description:
          - The addresses with their prefix lengths, such as V(192.168.222.1/24) or V(fd00:222::1/64).
        type: list
        elements: str
        required: true
        aliases:
          - ips
      mtu:
        description:
          - The largest packet that the card is to carry. Not touched when not given.
        type: int
  state:
    description:
      - V(present) sets the addresses and brings the cards up.
      - V(absent) takes back what the run O(job_id) has changed. A card is brought down only if it was down before.
      - V(absent) without O(job_id) removes exactly the addresses in O(links), and nothing else.
    type: str
    choices:
      - present
      - absent
    default: present
  job_id:
    description:
      - Names the run that owns the links. Several runs on one machine have different ones.
      - Without it, O(state=present) leaves no record. The addresses then stay until someone removes them.
    type: str
  record_dir:
    description:
      - The folder on the machine that holds the records of all runs. Give the same one in all calls.
    type: path
    default: /run/multidevice
  check_duplicates:
    description:
      - Ask on the wire whether another machine has, or is about to take, one of the addresses. Fail if so.
      - Takes one second. A card whose other end is not up yet sees nobody. On such machines, ask in a second call, when
        all machines have their addresses.
    type: bool
    default: false
  check_peers:
    description:
      - Other ends that must answer over the direct link, each an address or a dictionary with the keys C(ip), C(mac)
        and C(node). C(node) is only for messages. With C(mac), an answer from any other card is a failure, which finds a
        wrong cable.
      - ARP and IPv6 neighbour discovery are used, directly on the card. No ping program is needed.
      - Also fails when the machine would send packets for the other end through another card.
      - The machine's own addresses in this list are passed over.
      - Use it when all machines have their addresses, that is, in a second call after a barrier.
    type: list
    elements: raw
    default: []
  carrier_timeout:
    description:
      - Seconds to wait for every card to have a carrier. Fail if one has none by then.
      - With V(0) there is no such check. A cable between two machines has no carrier before both of its ends are up, so
        waiting makes sense only where the other end does not depend on the same play.
    type: float
    default: 0
  peer_timeout:
    description:
      - Seconds that the other ends in O(check_peers) have for their answer. Ends early when all have answered.
    type: float
    default: 5
"""

EXAMPLES = r"""
- name: Give the machine its two direct addresses
  lab.multidevice.direct_link:
    job_id: 20261123T181530-k3f9.1.1
    links:
      - mac: 02:00:00:00:00:01
        ip: 192.168.222.1/24
      - mac: 02:00:00:00:00:02
        ip: [192.168.223.1/24, "fd00:223::1/64"]
        mtu: 9000

- name: When all machines have theirs, see that the cables are where they should be
  lab.multidevice.direct_link:
    job_id: 20261123T181530-k3f9.1.1
    links:
      - mac: 02:00:00:00:00:01
        ip: 192.168.222.1/24
      - mac: 02:00:00:00:00:02
        ip: [192.168.223.1/24, "fd00:223::1/64"]
        mtu: 9000
    check_duplicates: true
    check_peers:
      - ip: 192.168.222.2
        mac: 02:00:00:00:00:03
        node: client-1

- name: Take it all back
  lab.multidevice.direct_link:
    job_id: 20261123T181530-k3f9.1.1
    state: absent

- name: Remove one address that nobody has recorded
  lab.multidevice.direct_link:
    state: absent
    links:
      - mac: 02:00:00:00:00:01
        ip: 192.168.222.1/24
"""

RETURN = r"""
devices:
  description:
    - The cards that were meant, as they are afterwards. Empty when addresses were removed without O(job_id).
  returned: success
  type: list
  elements: dict
  contains:
    mac:
      description: The MAC address as it was asked for.
      type: str
    device:
      description: The name of the device that has it.
      type: str
    addresses:
      description: The addresses that the run has, or had, on it.
      type: list
      elements: str
    added:
      description: Those of them that were not there before the run.
      type: list
      elements: str
    up:
      description: Whether the device is up.
      type: bool
    carrier:
      description: Whether the other end of the cable is there. In check mode, as it is now.
      type: bool
    mtu:
      description: The MTU of the device.
      type: int
  sample:
    - mac: 02:00:00:00:00:01
      device: eth1
      addresses: [192.168.222.1/24]
      added: [192.168.222.1/24]
      up: true
      carrier: true
      mtu: 1500
peers:
  description:
    - The other ends in O(check_peers), with the card that each has answered from and the device on which it was heard.
  returned: success
  type: list
  elements: dict
  sample:
    - ip: 192.168.222.2
      mac: 02:00:00:00:00:03
      device: eth1
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.module_utils._links.changes import (
    LinkChange,
    apply_links,
    remove_addresses,
    remove_links,
)
from ansible_collections.lab.multidevice.plugins.module_utils._links.records import record_path


def change_links(module: AnsibleModule) -> LinkChange:
    options = module.params
    record_dir = Path(options["record_dir"])
    record = record_path(record_dir, options["job_id"]) if options["job_id"] else None
    if options["state"] == "present":
        return apply_links(
            options["links"],
            record=record,
            record_dir=record_dir,
            check_mode=module.check_mode,
            check_duplicates=options["check_duplicates"],
            check_peers=options["check_peers"],
            carrier_timeout=options["carrier_timeout"],
            peer_timeout=options["peer_timeout"],
        )
    if record:
        return remove_links(record, check_mode=module.check_mode)
    return remove_addresses(options["links"], record_dir=record_dir, check_mode=module.check_mode)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "links": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "mac": {"type": "str", "required": True},
                    "ip": {"type": "list", "elements": "str", "required": True, "aliases": ["ips"]},
                    "mtu": {"type": "int"},
                },
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "job_id": {"type": "str"},
            "record_dir": {"type": "path", "default": "/run/multidevice"},
            "check_duplicates": {"type": "bool", "default": False},
            "check_peers": {"type": "list", "elements": "raw", "default": []},
            "carrier_timeout": {"type": "float", "default": 0},
            "peer_timeout": {"type": "float", "default": 5},
        },
        required_if=[("state", "present", ["links"]), ("state", "absent", ["job_id", "links"], True)],
        supports_check_mode=True,
    )
    try:
        change = change_links(module)
    except MultideviceError as error:
        module.fail_json(msg=str(error))
    for warning in change.warnings:
        module.warn(warning)
    module.exit_json(
        changed=change.changed,
        devices=change.devices,
        peers=change.peers,
        diff={"before": change.before, "after": change.after},
    )


if __name__ == "__main__":
    main()
