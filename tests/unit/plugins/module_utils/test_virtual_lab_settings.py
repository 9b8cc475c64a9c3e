# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import json
import typing as t

import pytest
import yaml
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab import settings
from ansible_collections.lab.multidevice.plugins.module_utils._virtual_lab.settings import LabSettings

NODES = [{"name": "server-1", "roles": ["server"]}, {"name": "both", "roles": ["server", "client"]}]


def lab(**changes: t.Any) -> LabSettings:
    values: dict[str, t.Any] = {
        "name": "lab",
        "directory": "/somewhere",
        "links": 2,
        "mtu": 1500,
        "network": "198.18.4.0/22",
        "ssh": False,
        "python": "/usr/bin/python3",
        "shared_folders": [],
        **changes,
    }
    return LabSettings(nodes=settings.machines(NODES, links=values["links"], network=values["network"]), **values)


def networks(*texts: str) -> list[ipaddress.IPv4Network]:
    return [ipaddress.IPv4Network(text) for text in texts]


def test_machines_get_their_addresses_in_order() -> None:
    first, second = lab().nodes
    assert (first.address, first.management_mac, first.macs) == (
        "198.18.4.2",
        "02:00:00:00:01:00",
        ["02:00:00:00:01:01", "02:00:00:00:01:02"],
    )
    assert (second.address, second.macs) == ("198.18.4.3", ["02:00:00:00:02:01", "02:00:00:00:02:02"])
    assert lab().controller_address == "198.18.4.1"


def test_macs_differ_beyond_255_machines() -> None:
    assert settings.mac(0x1FF, 3) == "02:00:00:01:ff:03"
    nodes = [{"name": f"n{number}", "roles": ["x"]} for number in range(600)]
    found = [machine.macs[0] for machine in settings.machines(nodes, links=1, network="198.18.0.0/16")]
    assert len(set(found)) == 600


@pytest.mark.parametrize(
    ("nodes", "network", "reason"),
    [
        ([], "198.18.0.0/24", "needs at least one node"),
        ([{"name": "a", "roles": ["x"]}] * 2, "198.18.0.0/24", "node 'a' is named twice"),
        ([{"name": "a/b", "roles": ["x"]}], "198.18.0.0/24", "node 'a/b': a name has"),
        ([{"name": "-a", "roles": ["x"]}], "198.18.0.0/24", "node '-a': a name has"),
        ([{"name": "a", "roles": []}], "198.18.0.0/24", "node 'a' has no role"),
        (NODES, "198.18.0.0/30", "too small for 2 nodes and the controller"),
    ],
)
def test_wrong_nodes_are_refused(nodes: list[dict[str, t.Any]], network: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        settings.machines(nodes, links=1, network=network)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", "inventory.yml", "a b", "x" * 64])
def test_wrong_lab_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of a virtual lab"):
        settings.lab_name(name)


@pytest.mark.parametrize(
    ("links", "mtu", "reason"),
    [(-1, 1500, "from 0 to 255 direct links, not -1"), (256, 1500, "not 256"), (1, 20, "from 576 to 65535, not 20")],
)
def test_wrong_links_are_refused(links: int, mtu: int, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        settings.check_links(links, mtu)


@pytest.mark.parametrize(
    ("taken", "hosts", "expected"),
    [
        ([], 3, "198.18.0.0/22"),
        (["10.0.0.0/8", "198.18.0.1/32"], 3, "198.18.4.0/22"),
        (["198.18.0.0/16"], 3, "198.19.0.0/22"),
        ([], 1021, "198.18.0.0/22"),
        ([], 1022, "198.18.0.0/21"),
    ],
)
def test_a_free_network_is_chosen(taken: list[str], hosts: int, expected: str) -> None:
    found = settings.free_network(networks(*taken), hosts)
    assert found == expected
    nodes = [{"name": f"n{number}", "roles": ["x"]} for number in range(hosts)]
    assert len(settings.machines(nodes, links=0, network=found)) == hosts


def test_no_free_network_is_an_error() -> None:
    with pytest.raises(InputError, match="no management network is free"):
        settings.free_network(networks("198.0.0.0/8"), 3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.1.0.0/33", "name an IPv4 network such as"),
        ("10.1.0.1/24", "has host bits set"),
        ("fd00::/64", "name an IPv4 network such as"),
        ("10.1.2.0/24", "overlaps 10.0.0.0/8"),
    ],
)
def test_wrong_networks_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        settings.management_network(text, networks("10.0.0.0/8"))


def test_settings_survive_json() -> None:
    assert LabSettings.from_dict(json.loads(json.dumps(lab().as_dict()))) == lab()


def test_the_card_of_the_controller_fits_the_kernel() -> None:
    names = {lab(name=name).host_interface for name in ("a", "b", "x" * 63)}
    assert len(names) == 3
    assert all(len(name) <= 15 for name in names)


def test_cluster_file() -> None:
    assert yaml.safe_load(settings.cluster_file(lab())) == {
        "nodes": {
            "server-1": {"roles": ["server"], "macs": ["02:00:00:00:01:01", "02:00:00:00:01:02"]},
            "both": {"roles": ["server", "client"], "macs": ["02:00:00:00:02:01", "02:00:00:00:02:02"]},
        }
    }
    assert "macs" not in settings.cluster_file(lab(links=0))


@pytest.mark.parametrize(("ssh", "connection"), [(False, "lab.multidevice.netns"), (True, "ansible.builtin.ssh")])
def test_inventory_file(ssh: bool, connection: str) -> None:
    text = settings.inventory_file(
        lab(ssh=ssh), state_file="/run/s", ssh_variables={"ansible_user": "root"} if ssh else {}
    )
    everything = yaml.safe_load(text)["all"]
    assert everything["vars"] == {"multidevice_cluster_paths": [lab().directory]}
    group = everything["children"]["virtual_lab"]
    assert group["hosts"]["both"] == {"ansible_host": "198.18.4.3", "ansible_netns_node": "both"}
    assert group["vars"]["ansible_connection"] == connection
    assert group["vars"]["ansible_netns_state"] == "/run/s"
    assert ("ansible_user" in group["vars"]) is ssh


def test_hosts_file() -> None:
    assert settings.hosts_file(lab()).splitlines()[-2:] == ["198.18.4.2 server-1", "198.18.4.3 both"]
