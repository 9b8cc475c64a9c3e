# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prints as JSON which files of the collection Ansible sends with each module: ``shipped_files.py COLLECTIONS MODULE…``."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import zipfile

from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, module_loader
from ansible.template import Templar

PLUGINS = "ansible_collections/lab/multidevice/plugins/"


def shipped_with(module: str) -> list[str]:
    """The files in the archive that a module is sent as; folders that are only packages are left out."""
    name = f"lab.multidevice.{module}"
    path = module_loader.find_plugin_with_context(name).plugin_resolved_path
    built = modify_module(
        module_name=name,
        module_path=path,
        module_args={},
        templar=Templar(loader=DataLoader()),
        task_vars={"ansible_python_interpreter": sys.executable},
    )
    texts = re.findall(r"[A-Za-z0-9+/=\n]{1000,}", built.b_module_data.decode())
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(max(texts, key=len)))) as archive:
        names = [entry.filename for entry in archive.infolist() if entry.file_size]
    return sorted(name.removeprefix(PLUGINS) for name in names if name.startswith(PLUGINS))


if __name__ == "__main__":
    init_plugin_loader(sys.argv[1:2])
    print(json.dumps({module: shipped_with(module) for module in sys.argv[2:]}))
