# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.lab.multidevice.plugins.modules import direct_link

MAC = "02:00:00:00:00:01"


def run(capsys: pytest.CaptureFixture[str], **options: t.Any) -> dict[str, t.Any]:
    with patch_module_args(options), pytest.raises(SystemExit):
        direct_link.main()
    answer: dict[str, t.Any] = json.loads(capsys.readouterr().out)
    return answer


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "state is present but all of the following are missing: links"),
        ({"state": "absent"}, "state is absent but any of the following are missing: job_id, links"),
        ({"links": [{"mac": MAC}]}, "missing required arguments: ip found in links"),
        ({"links": [{"mac": "x", "ip": "10.0.0.1/24"}]}, "links[0].mac: 'x' is no MAC address"),
        (
            {"links": [{"mac": MAC, "ips": "10.0.0.1/24"}], "check_peers": ["x"]},
            "check_peers[0].ip: 'x' is no IP address",
        ),
        ({"links": [], "job_id": "../x"}, "job_id: '../x' is no run's id"),
    ],
)
def test_what_is_wrong_is_said(capsys: pytest.CaptureFixture[str], options: dict[str, t.Any], said: str) -> None:
    answer = run(capsys, **options)
    assert answer["failed"]
    assert said in answer["msg"]


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("options", [{"links": []}, {"links": [], "job_id": "a"}, {"state": "absent", "job_id": "a"}])
def test_nothing_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: t.Any, check_mode: bool, options: dict[str, t.Any]
) -> None:
    answer = run(capsys, record_dir=str(tmp_path), _ansible_check_mode=check_mode, **options)
    answer.pop("invocation", None)
    assert answer == {"changed": False, "devices": [], "peers": [], "diff": {"before": {}, "after": {}}}
