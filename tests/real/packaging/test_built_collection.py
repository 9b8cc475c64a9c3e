# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as a user installs it: built, installed into an empty path, used from any folder."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from support.lab_fixture import virtual_lab

BIN = pathlib.Path(sys.executable).parent


def run(folder: pathlib.Path, *command: str | pathlib.Path, timeout: float = 120, **variables: str) -> str:
    done = subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def installed(repository: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder into which the built collection was installed."""
    folder = tmp_path_factory.mktemp("built")
    run(repository, "ansible-galaxy", "collection", "build", "--output-path", folder)
    archive = next(folder.glob("lab-multidevice-*.tar.gz"))
    path = tmp_path_factory.mktemp("installed")
    run(folder, "ansible-galaxy", "collection", "install", "--offline", "--collections-path", path, archive)
    return path


def names(folder: pathlib.Path, pattern: str = "*.py") -> set[str]:
    return {path.stem for path in folder.glob(pattern) if not path.name.startswith("_")}


def test_installs_what_a_user_needs_and_nothing_else(repository: pathlib.Path, installed: pathlib.Path) -> None:
    collection = installed / "ansible_collections" / "lab" / "multidevice"
    top = {path.name for path in collection.iterdir()}
    assert top - {"docs", "examples", "extensions", "CHANGELOG.rst"} == {
        "COPYING",
        "FILES.json",
        "LICENSES",
        "MANIFEST.json",
        "README.md",
        "REUSE.toml",
        "changelogs",
        "meta",
        "playbooks",
        "plugins",
        "requirements.txt",
        "roles",
    }
    assert not (collection / "playbooks" / "collections").exists()
    assert not [path for path in collection.rglob("*") if path.suffix == ".pyc" or path.name == "summary.json"]
    for folder in ("modules", "action", "connection", "inventory"):
        assert names(collection / "plugins" / folder) == names(repository / "plugins" / folder)


def test_its_modules_are_found_and_documented(repository: pathlib.Path, installed: pathlib.Path) -> None:
    listed = run(
        installed,
        "ansible-doc",
        "--type",
        "module",
        "--list",
        "lab.multidevice",
        ANSIBLE_COLLECTIONS_PATH=str(installed),
    )
    found = {line.split()[0] for line in listed.splitlines() if line.startswith("lab.multidevice.")}
    assert found == {f"lab.multidevice.{name}" for name in names(repository / "plugins" / "modules")}


def test_its_playbook_runs_a_job_from_any_folder(installed: pathlib.Path, tmp_path: pathlib.Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    job = installed / "ansible_collections" / "lab" / "multidevice" / "examples" / "transfer.yaml"
    with virtual_lab(tmp_path) as lab:
        run(
            elsewhere,
            "ansible-playbook",
            "lab.multidevice.multidevice",
            "-i",
            lab.inventory,
            "-e",
            f"job={job}",
            ANSIBLE_COLLECTIONS_PATH=str(installed),
        )
    (summary,) = elsewhere.glob("results/*/summary.json")
    content = json.loads(summary.read_text(encoding="utf-8"))
    assert content["result"] == "finish"
    assert sorted(content["runs"][0]["nodes"]) == sorted(lab.nodes)
