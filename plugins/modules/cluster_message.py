#!/usr/bin/python

# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_message
short_description: Exchange data between the machines of a run
version_added: 0.1.0
description:
  - Sends values under a key to all machines of a run, and receives them.
  - What was sent is kept as long as the run. Who comes late gets it too.
author:
  - lab.multidevice contributors (@lab)
extends_documentation_fragment:
  - lab.multidevice._attributes
  - lab.multidevice._attributes.controller
  - lab.multidevice._attributes.coordination
  - lab.multidevice._coordination
requirements:
  - redis (Python) >= 5.0.0 where it runs, not on the test machines
attributes:
  check_mode:
    support: full
    details:
      - Does not send. Receives what is there, without waiting.
  diff_mode:
    support: none
    details:
      - Messages are added, none is changed.
  idempotent:
    support: none
    details:
      - Sending twice makes two messages.
  platform:
    platforms: posix
options:
  job_id:
    description:
      - The machine's part of the run.
    type: str
    required: true
  operation:
    description:
      - V(send) adds a message. V(receive) waits for messages after O(position).
    type: str
    choices: [send, receive]
    required: true
  key:
    description:
      - What the message is about. Keys of different runs never meet.
    type: str
    required: true
  value:
    description:
      - The message. What is not a string is sent as JSON. Required if O(operation=send).
    type: raw
  position:
    description:
      - The RV(position) after which to receive. By default all messages of the key are received.
    type: str
    default: "0"
  timeout:
    description:
      - Seconds, over all repetitions, after which the task fails if there is no message.
    type: float
    default: 600
  slice:
    description:
      - Seconds to wait at most. Repeat the task as long as RV(answer) is V(retry).
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: Tell the port
  lab.multidevice.cluster_message:
    job_id: "{{ job.job_id }}"
    operation: send
    key: port
    value: 5201

- name: Ask for the port
  lab.multidevice.cluster_message:
    job_id: "{{ job.job_id }}"
    operation: receive
    key: port
  register: server_port
"""

RETURN = r"""
answer:
  description: V(message) if there are messages, V(abort) if the run was aborted, otherwise V(retry).
  type: str
  returned: when O(operation=receive)
  sample: message
value:
  description: The last message.
  type: str
  returned: when RV(answer) is V(message)
  sample: "5201"
messages:
  description: The messages, with their sender, time and position.
  type: list
  elements: dict
  returned: when O(operation=receive)
  sample:
    - node: server-1
      value: "5201"
      time: 1769860800.1
      position: 1769860800100-0
position:
  description: Where to go on receiving.
  type: str
  returned: always, but when sending in check mode
  sample: 1769860800100-0
waited:
  description: Seconds since this was first asked for.
  type: float
  returned: when O(operation=receive)
  sample: 0.0
"""

from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.base import run_module
from ansible_collections.lab.multidevice.plugins.module_utils._coordination.operations.message import MESSAGE


def main() -> None:
    run_module(MESSAGE)


if __name__ == "__main__":
    main()
