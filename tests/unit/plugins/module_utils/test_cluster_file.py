# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import typing as t
from pathlib import Path

import pytest

pytest.importorskip("yaml")
pytest.importorskip("netaddr")

from ansible_collections.lab.multidevice.plugins.module_utils._cluster_file import (
    Cluster,
    find_cluster,
    load_cluster_file,
)
from ansible_collections.lab.multidevice.plugins.module_utils._direct_network import (
    hand_out_addresses,
    read_mtus,
    read_networks,
)
from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._ids import queue_of
from ansible_collections.lab.multidevice.tests.unit.plugins.module_utils.bad_input import CLUSTERS
from hypothesis import given, settings
from hypothesis import strategies as st


def read(folder: Path, text: str | bytes) -> Cluster:
    path = folder / "lab"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_cluster_file(str(path))


def addresses(cluster: Cluster, network: str | list[str], **options: t.Any) -> list[list[str]]:
    links = hand_out_addresses(cluster, cluster.nodes, read_networks(network), **options)
    return [[f"{link.ip}/{link.prefix}" for link in of_node] for of_node in links]


def cluster_of(*counts: int, ip0: int = 1) -> str:
    """A cluster file whose nodes have so many cards each."""
    lines, card = [f"ip0: {ip0}", "nodes:"], 0
    for number, count in enumerate(counts):
        macs = []
        for _unused in range(count):
            card += 1
            macs.append(f'"02:00:00:00:{card >> 8:02x}:{card & 255:02x}"')
        lines.append(f"  n{number}: {{roles: [r{number}], macs: [{', '.join(macs)}]}}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        "nodes: {a: {roles: [server], macs: ['02:00:00:00:00:0a']}}",
        "a: {roles: [server], macs: ['02:00:00:00:00:0a']}",
        "ip0: 1\nswitch: Switch-P12\na: {roles: [server], macs: ['02:00:00:00:00:0a']}",
        "ip0: '1'\nrack: [1, 2]\nnodes:\n  a: {roles: server, macs: 02:00:00:00:00:0a}",
        "nodes: {a: {roles: [server], macs: [02-00-00-00-00-0A]}}",
        "nodes: {a: {roles: [server], macs: [0200.0000.000a]}}",
        "nodes: {a: {roles: [server], macs: [02000000000A]}}",
        "nodes:\n  a: &one {roles: [server], macs: ['02:00:00:00:00:0a']}\n",
    ],
)
def test_forms_of_a_cluster_file(tmp_path: Path, text: str) -> None:
    (node,) = read(tmp_path, text).nodes
    assert (node.name, node.roles, node.macs) == ("a", ["server"], ["02:00:00:00:00:0a"])


def test_a_mac_of_digits_is_no_number(tmp_path: Path) -> None:
    assert read(tmp_path, "a: {roles: [x], macs: [52:54:00:12:34:56]}").nodes[0].macs == ["52:54:00:12:34:56"]


@pytest.mark.parametrize(("text", "expected"), CLUSTERS)
def test_bad_cluster_files(tmp_path: Path, text: str | bytes, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "lab"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", 'no cluster file "none" in'),
        ("labb", "Did you mean lab?"),
        ("..", '".." is no name of a cluster file'),
        ("a b", '"a b" is no name of a cluster file'),
        ("../lab/none", "the file cannot be read: No such file or directory"),
    ],
)
def test_clusters_that_are_not_there(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / "lab").write_text("a: {roles: [x]}")
    with pytest.raises(InputError) as caught:
        find_cluster(name, [str(tmp_path)], relative_to=str(tmp_path))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["roles: a b", "roles: ' a  b '", "roles: [a, b]", "roles: 'a\tb'", 'roles: "a\\nb"', "roles:\n  - a\n  - b"],
)
def test_several_roles_of_a_node(tmp_path: Path, text: str) -> None:
    indented = text.replace("\n", "\n  ")
    (node,) = read(tmp_path, f"one:\n  {indented}\n  macs: 02:00:00:00:00:01 02:00:00:00:00:02\n").nodes
    assert (node.roles, node.macs) == (["a", "b"], ["02:00:00:00:00:01", "02:00:00:00:00:02"])


def test_the_plain_name_comes_before_those_with_a_suffix(tmp_path: Path) -> None:
    for name in ("lab.yml", "lab.yaml", "lab"):
        (tmp_path / name).write_text(f"{name}: {{roles: [x]}}")
        assert find_cluster("lab", [str(tmp_path)]).nodes[0].name == name
    assert find_cluster("lab.yml", [str(tmp_path)]).nodes[0].name == "lab.yml"


def test_lookup_order_and_suffixes(tmp_path: Path) -> None:
    for folder, name in (("first", "lab.yaml"), ("second", "lab"), ("third", "lab")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(f"{folder}: {{roles: [x]}}")
    (tmp_path / "zero" / "lab").mkdir(parents=True)
    folders = [str(tmp_path / folder) for folder in ("absent", "zero", "first", "second", "third")]
    assert find_cluster("lab", folders).nodes[0].name == "first"
    assert find_cluster("lab", folders[3:]).nodes[0].name == "second"
    assert find_cluster("./second/lab", folders, relative_to=str(tmp_path)).nodes[0].name == "second"


@pytest.mark.parametrize(
    ("counts", "ip0", "network", "expected"),
    [
        ((1, 1), 1, "192.168.222.0/24", [["192.168.222.1/24"], ["192.168.222.2/24"]]),
        ((2, 0, 1), 1, "192.168.222.0/24", [["192.168.222.1/24", "192.168.222.2/24"], [], ["192.168.222.3/24"]]),
        ((1, 1), 253, "192.168.222.0/24", [["192.168.222.253/24"], ["192.168.222.254/24"]]),
        ((1,), 300, "10.0.0.0/16", [["10.0.1.44/16"]]),
        ((1,), 1, "10.1.2.3/16", [["10.1.0.1/16"]]),
        ((1, 1), 0, "10.0.0.4/31", [["10.0.0.4/31"], ["10.0.0.5/31"]]),
        ((1,), 1, "fd00::/64", [["fd00::1/64"]]),
        ((1, 1), 65535, "fd00:222::/64", [["fd00:222::ffff/64"], ["fd00:222::1:0/64"]]),
        ((1, 1), 1, "10.9.0.0/24, fd00::/64", [["10.9.0.1/24", "fd00::1/64"], ["10.9.0.2/24", "fd00::2/64"]]),
        ((1,), 1, ["fd00::/64", "10.9.0.0/24"], [["10.9.0.1/24", "fd00::1/64"]]),
    ],
)
def test_addresses(tmp_path: Path, counts: tuple[int, ...], ip0: int, network: t.Any, expected: t.Any) -> None:
    assert addresses(read(tmp_path, cluster_of(*counts, ip0=ip0)), network) == expected


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("192.168.222.0/24", [["192.168.222.1/24", "192.168.223.1/24"], ["192.168.222.2/24", "192.168.223.2/24"]]),
        ("10.1.0.0/24,10.9.0.0/16", [["10.1.0.1/24", "10.9.0.1/16"], ["10.1.0.2/24", "10.9.0.2/16"]]),
        ("fd00::/64", [["fd00::1/64", "fd00:0:0:1::1/64"], ["fd00::2/64", "fd00:0:0:1::2/64"]]),
    ],
)
def test_one_network_for_each_position(tmp_path: Path, network: str, expected: t.Any) -> None:
    assert addresses(read(tmp_path, cluster_of(2, 2)), network, one_network_per_mac=True) == expected


@pytest.mark.parametrize(
    ("counts", "ip0", "network", "options", "expected"),
    [
        ((1, 1), 254, "192.168.222.0/24", {}, 'the direct network 192.168.222.0/24 is full at node "n1"'),
        ((1, 1, 1), 1, "10.0.0.0/30", {}, 'the direct network 10.0.0.0/30 is full at node "n2"'),
        (
            (1,),
            255,
            "192.168.222.0/24",
            {},
            "ip0: 255 is out of range: the hosts of 192.168.222.0/24 have the numbers 1 to 254",
        ),
        ((1,), 0, "192.168.222.0/24", {}, "ip0: 0 is out of range"),
        ((1,), 1, "10.0.0.1/32", {}, "ip0: 1 is out of range"),
        ((1,), 1, "10.0.0.0", {}, '"10.0.0.0" is no network'),
        ((1,), 1, "10.0.0.0/33", {}, '"10.0.0.0/33" is no network'),
        ((1,), 1, "300.0.0.0/8", {}, "is no network"),
        ((1,), 1, "server", {}, '"server" is no network'),
        ((1,), 1, "", {}, "direct_network expects a network"),
        ((1,), 1, 5, {}, "direct_network expects a network"),
        ((1,), 1, [5], {}, "is no network"),
        ((1,), 1, "224.0.0.0/8", {}, "cannot be used between machines"),
        ((1,), 1, "127.0.0.0/8", {}, "cannot be used between machines"),
        ((1,), 1, "fe80::/64", {}, "cannot be used between machines"),
        ((1,), 1, "::/64", {}, "cannot be used between machines"),
        ((1,), 1, "10.0.0.0/24,10.0.1.0/24", {}, "names several networks of one family"),
        ((1,), 1, "10.0.0.0/24,fd00::/64", {"mtus": [1000]}, "mtu 1000 is too small for fd00::/64, which needs 1280"),
        ((3,), 1, "10.0.0.0/24,10.0.1.0/24", {"one_network_per_mac": True}, "names 2 networks, but a node has 3 MACs"),
        ((2,), 1, "255.255.255.0/24", {"one_network_per_mac": True}, "no network of that size is left"),
    ],
)
def test_networks_that_do_not_do(
    tmp_path: Path, counts: tuple[int, ...], ip0: int, network: t.Any, options: dict[str, t.Any], expected: str
) -> None:
    with pytest.raises(InputError) as caught:
        addresses(read(tmp_path, cluster_of(*counts, ip0=ip0)), network, **options)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, [None, None, None]),
        (9000, [9000] * 3),
        ("9000", [9000] * 3),
        ("9000, 1500", [9000, 1500, 1500]),
        ([9000, 1500], [9000, 1500, 1500]),
    ],
)
def test_mtu_of_each_link(tmp_path: Path, value: t.Any, expected: list[t.Any]) -> None:
    cluster = read(tmp_path, cluster_of(3))
    (links,) = hand_out_addresses(cluster, cluster.nodes, read_networks("10.0.0.0/24"), mtus=read_mtus(value))
    assert [link.mtu for link in links] == expected


@pytest.mark.parametrize("value", [0, 100, 70000, "big", True, {"a": 1}, [1500, "x"]])
def test_mtus_that_do_not_do(value: t.Any) -> None:
    with pytest.raises(InputError, match="mtu expects a number"):
        read_mtus(value)


@pytest.mark.parametrize(
    ("node", "queue"),
    [
        ("vm-2p16g-multi-node--1", "vm-2p16g-multi-node"),
        ("taishan200-2280-2s48p-256g--a99", "taishan200-2280-2s48p-256g--a99"),
        ("vm--1--22", "vm--1"),
        ("vm--1x", "vm--1x"),
        ("vm-1", "vm-1"),
    ],
)
def test_queue(node: str, queue: str) -> None:
    assert queue_of(node) == queue


# The number of the last host of each.
NETWORKS = {
    "10.0.0.0/16": 65534,
    "192.168.222.0/24": 254,
    "10.0.0.0/28": 14,
    "10.0.0.6/31": 1,
    "fd00::/64": 2**64 - 1,
    "fd00::ff00/120": 255,
}


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=40),
    ip0=st.integers(1, 300),
    networks=st.sampled_from([[network] for network in NETWORKS] + [["10.0.0.0/16", "fd00::ff00/120"]]),
    one_network_per_mac=st.booleans(),
)
def test_addresses_run_on_until_a_network_is_full(
    tmp_path_factory: pytest.TempPathFactory,
    counts: list[int],
    ip0: int,
    networks: list[str],
    one_network_per_mac: bool,
) -> None:
    cluster = read(tmp_path_factory.getbasetemp(), cluster_of(*counts, ip0=ip0))
    expected: list[list[str]] = []
    refused = None
    for number, count in enumerate(counts):
        expected.append([])
        for position in range(count):
            in_the_position = sum(other > position for other in counts[:number])
            host = ip0 + (in_the_position if one_network_per_mac else sum(counts[:number]) + position)
            for text in networks:
                if host > NETWORKS[text]:
                    refused = refused or ("out of range" if host == ip0 else f'is full at node "n{number}"')
                network = ipaddress.ip_network(text)
                first = network.network_address + (position * network.num_addresses if one_network_per_mac else 0)
                expected[-1].append(f"{first + host}/{network.prefixlen}")
    options: dict[str, t.Any] = {"one_network_per_mac": one_network_per_mac}
    if refused is None:
        assert addresses(cluster, networks, **options) == expected
    else:
        with pytest.raises(InputError, match=refused):
            addresses(cluster, networks, **options)
