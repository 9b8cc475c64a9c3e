# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
from pathlib import Path

COLLECTIONS = Path(__file__).resolve().parents[2] / "playbooks" / "collections"

# Tests import the collection, and one another's helpers, as ansible_collections.lab.multidevice...
if str(COLLECTIONS) not in sys.path:
    sys.path.insert(0, str(COLLECTIONS))
