# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.lab.multidevice.plugins.module_utils._coordination import records
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._vocabulary import Reason, ReasonKind, make_reason


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (None, "no reason was given"),
        ({"text": "the fan is off"}, "the fan is off"),
        ({"text": "the fan is off", "node": "client-1"}, "the fan is off (node client-1)"),
        (
            {"text": "script netperf failed with exit code 2 on node client-1", "node": "client-1", "script": "netperf"}
            | {"exit_code": 2},
            "script netperf failed with exit code 2 on node client-1",
        ),
        (
            {"text": "no answer", "node": "client-1", "script": "netperf", "exit_code": 0},
            "no answer (node client-1, script netperf, exit code 0)",
        ),
        ({"text": "client-10 is gone", "node": "client-1"}, "client-10 is gone (node client-1)"),
    ],
)
def test_a_reason_becomes_one_sentence_that_names_everything(reason: dict[str, t.Any] | None, sentence: str) -> None:
    assert records.explain(reason) == sentence


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        (
            make_reason("", script="netperf", exit_code=2),
            "failed",
            "script netperf failed with exit code 2 on node client-1",
        ),
        (make_reason("", script="netperf"), "failed", "script netperf failed on node client-1"),
        (make_reason(""), "failed", "the run was failed on node client-1"),
        (None, "abort", "the run was aborted on node client-1"),
        (make_reason("own words"), "abort", "own words"),
    ],
)
def test_a_reason_is_completed(given: Reason | None, kind: str, text: str) -> None:
    reason = records.complete_reason(given, node="client-1", kind=ReasonKind(kind))
    assert reason["text"] == text
    assert set(reason) == {"node", "script", "exit_code", "text", "kind"}
    assert records.read_reason(records.compact(reason)) == reason


@pytest.mark.parametrize("name", ["start", "filled-1", "a.b:c_d", "9", "x" * 120])
def test_names(name: str) -> None:
    assert records.check_name("barrier", name) == name


@pytest.mark.parametrize("name", ["", "abort", "retry", "a/b", "a b", "-a", "ä", "x" * 121, "a\n"])
def test_no_names(name: str) -> None:
    with pytest.raises(InputError, match="is no name for a barrier"):
        records.check_name("barrier", name)


def test_the_run_of_a_job() -> None:
    assert records.cluster_of("20260131T120000-k3f9.1.12") == "20260131T120000-k3f9.1"
    for wrong in ("job", "job.", ".1", "job.x"):
        with pytest.raises(InputError, match="is no job id"):
            records.cluster_of(wrong)


def test_addresses_of_roles_in_the_order_of_the_nodes() -> None:
    nodes: list[dict[str, t.Any]] = [
        {"roles": ["server"], "ip": "172.18.0.2", "direct_ips": ["192.168.222.1", "192.168.223.1"]},
        {"roles": ["client", "load-gen"], "ip": "172.18.0.3", "direct_ips": []},
        {"roles": ["client"], "ip": None, "direct_ips": []},
    ]
    assert records.roles_ip(nodes) == {
        "direct_server_ips": "192.168.222.1 192.168.223.1",
        "server": "172.18.0.2",
        "direct_client_ips": "172.18.0.3",
        "client": "172.18.0.3",
        "direct_load_gen_ips": "172.18.0.3",
        "load_gen": "172.18.0.3",
    }


@pytest.mark.parametrize(
    ("ip", "direct_ips"),
    [
        ("192.0.2.1\n192.0.2.9 controller", []),
        ("server", []),
        ("fe80::1%eth0", []),
        ("192.0.2.1", ["192.168.222.1", "192.168.222.2 forged"]),
        (None, ["192.168.222.1/24"]),
    ],
)
def test_a_node_records_only_addresses(ip: str | None, direct_ips: list[str]) -> None:
    with pytest.raises(InputError, match="is no IP address"):
        records.node_record("s.1", "server-1", roles=["server"], ip=ip, direct_macs=[], direct_ips=direct_ips)


@pytest.mark.parametrize("ip", ["192.0.2.1", "2001:db8::1", "", None])
def test_a_node_records_its_address_or_none(ip: str | None) -> None:
    assert records.node_record("s.1", "server-1", roles=[], ip=ip, direct_macs=[], direct_ips=["192.168.222.1"])
