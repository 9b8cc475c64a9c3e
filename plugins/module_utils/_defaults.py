# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

# What is set where nobody sets it, and more than one file needs to know. Times are in seconds, limits in bytes.
# Playbooks and roles leave out what they were not given, so that it comes to this.

from __future__ import annotations

DEFAULT_LEASE = 30.0
DEFAULT_RETENTION = 7 * 24 * 3600.0
DEFAULT_QUEUE_TIMEOUT = 3600.0
DEFAULT_SLICE = 10.0
DEFAULT_RETRIES = 100
# Between the signals TERM and KILL.
DEFAULT_GRACE = 1.0
# For each machine.
DEFAULT_RESULTS_LIMIT = 100 * 1048576
# For each folder of scripts, packed.
DEFAULT_TREES_LIMIT = 64 * 1048576
# What scripts and results of queued runs go through.
DEFAULT_EXCHANGE = "redis"
DEFAULT_RESULTS_DIR = "results"
DEFAULT_NETWORK = "192.168.222.0/24"
