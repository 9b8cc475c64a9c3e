# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs one function of _links.py in the network namespace that it was started in: a JSON request in, a JSON answer out.

It stands for the module and for the supervisor, which call the same functions, and can be killed like them.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import typing as t
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "playbooks" / "collections"))

from ansible_collections.lab.multidevice.plugins.module_utils import _links as links
from ansible_collections.lab.multidevice.plugins.module_utils._errors import MultideviceError

FUNCTIONS: dict[str, t.Callable[..., links.LinkChange]] = {
    "apply": links.apply_links,
    "remove": links.remove_links,
    "remove_addresses": links.remove_addresses,
}


def main() -> None:
    request = json.load(sys.stdin)
    options = request["options"]
    for name in ("record", "record_dir"):
        if options.get(name):
            options[name] = Path(options[name])
    try:
        change = FUNCTIONS[request["function"]](*request["arguments"], **options)
    except MultideviceError as error:
        print(json.dumps({"error": str(error)}))
    else:
        print(json.dumps(dataclasses.asdict(change)))


if __name__ == "__main__":
    main()
