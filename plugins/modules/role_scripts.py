#!/usr/bin/python

# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: role_scripts
short_description: Run setup, daemon, monitor and test scripts on a machine
version_added: 0.1.0
description:
  - Runs scripts under a supervisor on the machine. It outlives the connection, keeps every process that a script starts
    as its own descendant, stops them all when told to, or when the controller is not heard from any more, and then
    takes back what the run changed on the machine.
  - Starting scripts and waiting for them can be separate calls, so that no task holds one of Ansible's forks while it
    needs another machine's progress.
  - The supervisor is installed by one call of this module on the machine. All later calls go over a connection that the
    controller keeps open to it, for as long as its C(ansible-playbook) runs.
author:
  - lab.multidevice contributors (@lab)
extends_documentation_fragment:
  - lab.multidevice._attributes
  - lab.multidevice._attributes.coordination
  - lab.multidevice._coordination
attributes:
  action:
    description:
      - Has an action plugin of the same name, so that the task runs on the controller.
    support: partial
    details:
      - The module itself runs on the machine for O(state=present), and for O(state=absent) where no supervisor answers.
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - There is nothing to compare.
  idempotent:
    support: partial
    details:
      - Scripts of a phase are started once. V(collected) fetches each time.
  platform:
    platforms: linux
options:
  job_id:
    description:
      - Names this machine's part of a run. Two runs on one machine have two of them.
    type: str
    required: true
  state:
    description:
      - V(present) starts the supervisor and puts O(script_roots) on the machine.
      - V(started) starts the O(scripts) of a O(phase), one after another, and returns at once.
      - V(finished) waits until the phase is over, for O(slice) seconds at most. RV(answer) tells. With O(scripts), it
        starts them first, unless the phase was begun before.
      - V(stopped) stops all scripts and everything that they started.
      - V(collected) fetches output and results into O(dest).
      - V(absent) stops everything, takes back what the run changed on the machine, and ends the supervisor.
    type: str
    choices: [present, started, finished, stopped, collected, absent]
    default: present
  phase:
    description:
      - Which list of scripts. V(daemon) is for setup scripts and daemons, V(test) for monitors and tests.
    type: str
    choices: [daemon, test]
  scripts:
    description:
      - The scripts of the phase in their order. Each has an C(id), which names its result folder, a C(name), a C(kind)
        (C(setup), C(daemon), C(monitor) or C(test)), and either a C(root) from O(script_roots) with a C(path) in it, or
        its text as C(content).
      - Optional are C(args) (a list), C(env), C(cpu_shares) (percentages of the machine's CPUs, by variable),
        C(timeout) (seconds) and, for a daemon, C(ready) with one of C(port), C(file) or C(command), and a C(timeout).
      - A daemon has started when it ends with success, or when its C(ready) check passes, or when it has been running
        for a second and has no such check.
    type: list
    elements: dict
  armed:
    description:
      - Do not start the phase before the barrier V(ready) of the run O(cluster_id) is released.
    type: bool
    default: false
  env:
    description:
      - Variables for all scripts that are started from now on.
    type: dict
    default: {}
  cpu_shares:
    description:
      - Variables whose values are percentages of the machine's CPUs.
    type: dict
    default: {}
  hosts:
    description:
      - Entries for O(hosts_file) for the time of the run.
    type: list
    elements: dict
    suboptions:
      address:
        description: The address.
        type: str
        required: true
      names:
        description: Its names.
        type: list
        elements: str
        required: true
  script_roots:
    description:
      - Folders on the controller with scripts in C(setup), C(daemon), C(monitors), C(tests) or C(programs), and what
        these need in C(bin), C(lib) and their like. They are put on the machine once, and found there by later runs.
    type: list
    elements: path
    default: []
  script_archives:
    description:
      - Folders of O(script_roots) that are there as archives only, as C(.tar.gz) files on the controller, by folder.
    type: dict
    default: {}
  keep_results:
    description:
      - A folder of the machine, which must not be there yet, to which the results are moved at the end, whatever ends
        the run. Its parent must be there.
    type: path
  script_user:
    description:
      - The user of the machine that scripts run as. If not set, the user that the task becomes. Another one takes root.
      - Cannot be used together with O(ssh).
    type: str
  slice:
    description:
      - Seconds that V(finished) waits at most.
    type: float
    default: 10
  grace:
    description:
      - Seconds between the signals TERM and KILL when scripts are stopped.
    type: float
    default: 1
  lease:
    description:
      - Seconds without a word from the controller after which the machine cleans itself.
    type: float
    default: 30
  dest:
    description:
      - A folder on the controller for the results.
    type: path
  limit:
    description:
      - Bytes that V(collected) fetches at most. What does not fit is cut, and RV(notes) say so.
      - With V(present), as many of the results that M(lab.multidevice.cluster_results) has promised are fetched when
        C(ansible-playbook) ends early.
    type: int
    default: 104857600
  keep_trees:
    description:
      - Leave O(script_roots) on the machine for the next run.
    type: bool
    default: false
  cluster_id:
    description:
      - The run that this is a part of. A script that fails then aborts the run in Redis at once, and the run's abort
        stops the scripts. Without it, Redis is not used.
    type: str
  ssh:
    description:
      - Let the scripts reach the other machines of the run O(cluster_id) by ssh, by the names and addresses in O(hosts), as
        the user that they run as. The machine makes a key for it with V(present), and lets the others' in with V(started).
      - Lines for it are in F(~/.ssh/authorized_keys) and F(~/.ssh/config) for the time of the run.
    type: bool
    default: false
  token:
    description:
      - Set by the controller. What lets it speak to the supervisor.
    type: str
  node_dir:
    description:
      - The folder for runs on the machine. It has to belong to the user that the scripts run as.
      - The default is C(/var/tmp/multidevice-) with the user's number.
    type: path
  hosts_file:
    description:
      - The file that O(hosts) are written to.
    type: path
    default: /etc/hosts
"""

EXAMPLES = r"""
- name: Prepare the machine
  lab.multidevice.role_scripts:
    job_id: nightly-1
    script_roots: ["{{ playbook_dir }}/scripts"]

- name: Start the test
  lab.multidevice.role_scripts:
    job_id: nightly-1
    state: started
    phase: test
    scripts:
      - id: test-transfer
        name: transfer
        kind: test
        root: "{{ playbook_dir }}/scripts"
        path: tests/transfer
        env:
          seconds: "5"

- name: Wait for it
  lab.multidevice.role_scripts:
    job_id: nightly-1
    state: finished
    phase: test
    slice: 60

- name: Fetch its results
  lab.multidevice.role_scripts:
    job_id: nightly-1
    state: collected
    dest: results/{{ inventory_hostname }}

- name: Leave nothing behind
  lab.multidevice.role_scripts:
    job_id: nightly-1
    state: absent
"""

RETURN = r"""
ip:
  description: The machine's own address, the first one that C(hostname -I) prints.
  returned: when O(state=present)
  type: str
  sample: 192.0.2.11
answer:
  description:
    - V(finished) when the phase is over, V(retry) when it is not.
    - The task fails with V(failed) when a script failed, and with V(abort) when the run was aborted meanwhile.
  returned: when O(state=finished)
  type: str
  sample: finished
scripts:
  description: The scripts so far, with their exit codes, and times in seconds since the epoch.
  returned: when O(state) is V(started), V(finished) or V(collected)
  type: list
  elements: dict
  sample:
    - id: test-transfer
      name: transfer
      kind: test
      state: ended
      exit_code: 0
      started: 1767225600.25
      finished: 1767225605.5
      timed_out: false
      stopped: false
notes:
  description: What was cut from the results.
  returned: when O(state=collected)
  type: list
  elements: str
  sample: []
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError
from ansible_collections.lab.multidevice.plugins.module_utils._node import _folders, _install
from ansible_collections.lab.multidevice.plugins.module_utils._node._arguments import ARGUMENT_SPEC, REQUIRED_IF


def own_address(module: AnsibleModule) -> str:
    """The first address that ``hostname -I`` prints; empty when there is none."""
    printed: list[str] = module.run_command(["hostname", "-I"])[1].split()
    return printed[0] if printed else ""


def main() -> None:
    """Install the supervisor, or end it; the rest is done by the action plugin."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, required_if=REQUIRED_IF, supports_check_mode=True)
    options = module.params
    base = Path(options["node_dir"]) if options["node_dir"] else _folders.default_base()
    job_id = options["job_id"]
    try:
        folder = _folders.of_run(base, job_id)
        if options["state"] == "present":
            if module.check_mode:
                module.exit_json(changed=not _install.answers(folder), ip=own_address(module))
            config = {key: options[key] for key in ("token", "lease", "hosts_file", "keep_results", "script_user")}
            folder, changed = _install.install(base, job_id, config)
            module.exit_json(changed=changed, ip=own_address(module), attach=_install.attach_command(folder))
        if options["state"] == "absent":
            if module.check_mode:
                module.exit_json(changed=_folders.is_run(folder))
            module.exit_json(changed=_install.clean(folder))
        module.fail_json(
            msg=f"state {options['state']} needs the collection's action plugin, which runs on the controller"
        )
    except (MultideviceError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
