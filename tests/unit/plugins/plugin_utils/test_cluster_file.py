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

from ansible_collections.lab.multidevice.plugins.module_utils._errors import InputError
from ansible_collections.lab.multidevice.plugins.module_utils._names import queue_of
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.cluster_file import (
    Cluster,
    find_cluster,
    load_cluster_file,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.direct_network import (
    as_direct_links,
    hand_out_addresses,
    read_mtus,
    read_networks,
)
from ansible_collections.lab.multidevice.plugins.plugin_utils._job.yaml_source import Limits
from ansible_collections.lab.multidevice.tests.unit.plugins.plugin_utils.bad_input import CLUSTERS
from hypothesis import given
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
        "nodes: {a: {roles: [server], macs: [' 02:00:00:00:00:0a ']}}",
        "---\n---\nnodes: {a: {roles: [server], macs: ['02:00:00:00:00:0a']}}",
        "ip0:\nnodes: {a: {roles: [server], macs: ['02:00:00:00:00:0a']}}",
    ],
)
def test_forms_of_a_cluster_file(tmp_path: Path, text: str) -> None:
    cluster = read(tmp_path, text)
    (node,) = cluster.nodes
    assert (node.name, node.roles, node.macs) == ("a", ["server"], ["02:00:00:00:00:0a"])
    assert (cluster.name, cluster.file, cluster.ip0) == ("lab", str(tmp_path / "lab"), 1)


def test_nodes_keep_the_order_of_the_file_and_know_their_lines(tmp_path: Path) -> None:
    text = "ip0: 5\nb: {roles: [y, 1]}\na: {roles: [x, y], macs: }\nc: {roles: }\nd: {roles: []}\n"
    cluster = read(tmp_path, text)
    assert [(node.name, node.roles, node.macs, node.place.line) for node in cluster.nodes] == [
        ("b", ["y", "1"], [], 2),
        ("a", ["x", "y"], [], 3),
        ("c", [], [], 4),
        ("d", [], [], 5),
    ]
    assert cluster.roles == ["y", "1", "x"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("'0'", 0), ("7", 7), ("'07'", 7), ("'" + "9" * 39 + "'", 10**39 - 1), ("", 1), ("~", 1)],
)
def test_number_of_the_first_host(tmp_path: Path, text: str, expected: int) -> None:
    assert read(tmp_path, f"ip0: {text}\na: {{roles: [x]}}").ip0 == expected


@pytest.mark.parametrize(
    ("path", "name"), [("lab", "lab"), ("lab.yaml", "lab"), ("lab.yml", "lab"), ("a.yaml.b", "a.yaml.b")]
)
def test_a_cluster_is_named_after_its_file_or_as_it_was_asked_for(tmp_path: Path, path: str, name: str) -> None:
    (tmp_path / path).write_text("a: {roles: [x]}")
    assert load_cluster_file(str(tmp_path / path)).name == name
    assert find_cluster(f"./{path}", [], relative_to=str(tmp_path)).name == name
    by_name = find_cluster(path, [str(tmp_path)])
    assert (by_name.name, by_name.file) == (path, str(tmp_path / path))


def test_paths_of_a_cluster_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab").write_text("a: {roles: [x]}")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_cluster("~/lab", [], relative_to="/nowhere").nodes[0].name == "a"
    monkeypatch.chdir(tmp_path)
    assert find_cluster("./lab", []).nodes[0].name == "a"
    with pytest.raises(InputError, match="larger than 5 bytes"):
        find_cluster("./lab", [], limits=Limits(file_bytes=5))
    with pytest.raises(InputError, match="larger than 5 bytes"):
        find_cluster("lab", ["."], limits=Limits(file_bytes=5))


def test_a_mac_of_digits_is_no_number(tmp_path: Path) -> None:
    assert read(tmp_path, "a: {roles: [x], macs: [52:54:00:12:34:56]}").nodes[0].macs == ["52:54:00:12:34:56"]


@pytest.mark.parametrize(("text", "expected"), CLUSTERS)
def test_bad_cluster_files(tmp_path: Path, text: str | bytes, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/{expected}"), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", 'cluster: no cluster file "none" in {0}/absent, {0}, {0}/other.'),
        ("labb", 'cluster: no cluster file "labb" in {0}/absent, {0}, {0}/other. Did you mean lab?'),
        ("secand", 'cluster: no cluster file "secand" in {0}/absent, {0}, {0}/other. Did you mean second?'),
        ("folders", 'cluster: no cluster file "folders" in {0}/absent, {0}, {0}/other.'),
        ("folder", 'cluster: no cluster file "folder" in {0}/absent, {0}, {0}/other.'),
        ("..", 'cluster: ".." is no name of a cluster file: letters, digits, ".", "_" and "-" can be in it.'),
        ("a b", 'cluster: "a b" is no name of a cluster file: letters, digits, ".", "_" and "-" can be in it.'),
        ("../lab/none", "{0}/../lab/none: the file cannot be read: No such file or directory."),
    ],
)
def test_clusters_that_are_not_there(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "lab").write_text("a: {roles: [x]}")
    (tmp_path / "other" / "second").write_text("a: {roles: [x]}")
    folders = [str(tmp_path / folder) for folder in ("absent", "", "other")]
    with pytest.raises(InputError) as caught:
        find_cluster(name, folders, relative_to=str(tmp_path))
    assert str(caught.value) == expected.format(tmp_path)


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
        ((1,), 0, "10.0.0.1/32", [["10.0.0.1/32"]]),
        ((1,), 0, "fd00::2/127", [["fd00::2/127"]]),
        ((1, 1), 1, "10.0.0.0/30", [["10.0.0.1/30"], ["10.0.0.2/30"]]),
        ((1, 1, 1), 1, "fd00::/126", [["fd00::1/126"], ["fd00::2/126"], ["fd00::3/126"]]),
        ((0,), 0, "10.0.0.0/30", [[]]),
        ((1,), 1, "FD00::/64", [["fd00::1/64"]]),
        ((1,), 1, "10.0.0.0/24\tfd00::/64", [["10.0.0.1/24", "fd00::1/64"]]),
        ((1,), 1, ("10.0.0.0/24",), [["10.0.0.1/24"]]),
        ((1,), 1, ",10.0.0.0/24,", [["10.0.0.1/24"]]),
    ],
)
def test_addresses(tmp_path: Path, counts: tuple[int, ...], ip0: int, network: t.Any, expected: t.Any) -> None:
    assert addresses(read(tmp_path, cluster_of(*counts, ip0=ip0)), network) == expected


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("255.255.254.0/24", [["255.255.254.1/24", "255.255.255.1/24"], ["255.255.254.2/24", "255.255.255.2/24"]]),
        ("10.0.0.0/30", [["10.0.0.1/30", "10.0.0.5/30"], ["10.0.0.2/30", "10.0.0.6/30"]]),
        (
            "10.1.0.0/24,fd00::/64,fd01::/64,10.2.0.0/24",
            [
                ["10.1.0.1/24", "fd00::1/64", "10.2.0.1/24", "fd01::1/64"],
                ["10.1.0.2/24", "fd00::2/64", "10.2.0.2/24", "fd01::2/64"],
            ],
        ),
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
        (
            (2,),
            1,
            "255.255.255.0/24",
            {"one_network_per_mac": True},
            "direct network 255.255.255.0/24: no network of that size is left for MAC number 2.",
        ),
        (
            (2,),
            1,
            "8000::/1",
            {"one_network_per_mac": True},
            "no network of that size is left for MAC number 2.",
        ),
        (
            (1, 2, 2, 2),
            1,
            "10.0.0.0/30",
            {"one_network_per_mac": True},
            'the direct network 10.0.0.0/30 is full at node "n2": with ip0: 1 its last address has the number 2; take',
        ),
        (
            (1, 2, 0, 2, 2),
            2,
            "10.0.0.0/30,10.0.1.0/30",
            {"one_network_per_mac": True},
            'the direct network 10.0.0.0/30 is full at node "n1": with ip0: 2',
        ),
        ((2,), 1, "10.0.0.0/24,10.0.1.0/24,fd00::/64", {}, "names several networks of one family"),
        ((1,), 1, "fd00::/64,fd01::/64", {}, "names several networks of one family"),
        ((1,), 0, "fd00::/64", {}, "ip0: 0 is out of range: the hosts of fd00::/64 have the numbers 1 to"),
        ((1,), 2, "10.0.0.0/31", {}, "the hosts of 10.0.0.0/31 have the numbers 0 to 1."),
        ((1,), 3, "10.0.0.0/30", {}, "the hosts of 10.0.0.0/30 have the numbers 1 to 2."),
        ((1,), 4, "fd00::/126", {}, "the hosts of fd00::/126 have the numbers 1 to 3."),
        ((1,), 1, "0.0.0.0/8", {}, "cannot be used between machines"),
        ((1,), 1, "169.254.0.0/16", {}, "cannot be used between machines"),
        ((1,), 1, "::1/128", {}, "cannot be used between machines"),
        ((1,), 1, "ff00::/64", {}, "cannot be used between machines"),
        ((1,), 1, [], {}, "direct_network expects a network"),
        ((1,), 1, "10.0.0.0/24", {"mtus": [575]}, "mtu 575 is too small for 10.0.0.0/24, which needs 576"),
        ((1,), 1, "fd00::/64", {"mtus": [1279]}, "mtu 1279 is too small for fd00::/64, which needs 1280"),
        (
            (3,),
            1,
            "fd00::/64",
            {"mtus": [None, None, 1279], "one_network_per_mac": True},
            "mtu 1279 is too small for fd00:0:0:2::/64, which needs 1280",
        ),
        ((2,), 1, "fd00::/64", {"mtus": [None, 1279]}, "mtu 1279 is too small for fd00::/64, which needs 1280"),
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


@pytest.mark.parametrize(
    ("network", "mtus"), [("10.0.0.0/24", [576]), ("10.0.0.0/24", [1279]), ("fd00::/64", [1280]), ("fd00::/64", [None])]
)
def test_the_smallest_mtus(tmp_path: Path, network: str, mtus: list[int | None]) -> None:
    cluster = read(tmp_path, cluster_of(1))
    ((link,),) = hand_out_addresses(cluster, cluster.nodes, read_networks(network), mtus=mtus)
    assert link.mtu == mtus[0]


def test_entries_of_the_cards(tmp_path: Path) -> None:
    cluster = read(tmp_path, cluster_of(2))
    networks = read_networks("10.0.0.0/24,fd00::/64")
    (links,) = hand_out_addresses(cluster, cluster.nodes, networks, mtus=[None, 1500])
    assert as_direct_links(links) == [
        {"mac": "02:00:00:00:00:01", "ip": ["10.0.0.1/24", "fd00::1/64"]},
        {"mac": "02:00:00:00:00:02", "ip": ["10.0.0.2/24", "fd00::2/64"], "mtu": 1500},
    ]
    assert as_direct_links([]) == []


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (0, '"0"'),
        (575, '"575"'),
        (65536, '"65536"'),
        (100000, '"100000"'),
        ("big", '"big"'),
        ("-1500", '"-1500"'),
        (True, '"True"'),
        ({"a": 1}, "a mapping"),
        ([1500, "x"], '"x"'),
        ([1500, [1500]], "a list"),
        ("1500 x", '"x"'),
    ],
)
def test_mtus_that_do_not_do(value: t.Any, wrong: str) -> None:
    with pytest.raises(InputError) as caught:
        read_mtus(value)
    assert str(caught.value) == f"mtu expects a number from 576 to 65535, not {wrong}."


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", [None]), ([], [None]), (576, [576]), ("65535", [65535]), (" 1500  9000 ", [1500, 9000]), ((1500,), [1500])],
)
def test_mtus(value: t.Any, expected: list[int | None]) -> None:
    assert read_mtus(value) == expected


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
