#!/usr/bin/env bash
# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Brings a virtual lab up, runs a job in it and takes it down again, whatever became of the job.

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
job=${JOB:-examples/transfer.yaml}
lab=(-e virtual_lab_name=demo -e "virtual_lab_dir=$PWD/.virtual-lab/demo")
log=.cache/logs/demo-lab.log

command -v ip >/dev/null || { echo "The demo needs the command 'ip' (package iproute2)." >&2; exit 1; }
[[ -r $job ]] || { echo "The job file $job cannot be read." >&2; exit 1; }

echo "== Environment (made once, in .cache/)"
bin=$("${PYTHON:-python3}" tools/environments.py controller)
export PATH="$bin:$PATH"
export PYTHONDONTWRITEBYTECODE=  # the environment is compiled where it is used
export ANSIBLE_LOCALHOST_WARNING=False ANSIBLE_INVENTORY_UNPARSED_WARNING=False
mkdir -p "${log%/*}"

quietly() {
    "$@" >"$log" 2>&1 </dev/null || { cat "$log" >&2; return 1; }
}

take_down() {
    trap - EXIT
    echo "== Virtual lab down"
    quietly ansible-playbook playbooks/lab_down.yml "${lab[@]}" || exit 1
}
trap take_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "== Virtual lab up"
quietly ansible-playbook playbooks/lab_up.yml "${lab[@]}"

echo "== $job"
export ANSIBLE_STDOUT_CALLBACK=${ANSIBLE_STDOUT_CALLBACK:-lab.multidevice.progress}
ansible-playbook playbooks/multidevice.yml -i .virtual-lab/demo/inventory.yml -e "job=$job" </dev/null
