# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The example of the collection, over namespaces and over ssh, with one fork and with five, in both strategies."""

from __future__ import annotations

import pytest

from support.example import EXAMPLE, check_example, short_example
from support.sites import Site


def test_through_namespaces(site: Site) -> None:
    check_example(site, site.run(EXAMPLE, "-i", str(site.lab.inventory), "--forks=5"))


def test_with_one_fork_and_free_strategy(site: Site) -> None:
    job = short_example(site.folder)
    play = site.run(job, "-i", str(site.lab.inventory), "--forks=1", ANSIBLE_STRATEGY="free")
    check_example(site, play, job, seconds=1)


@pytest.mark.parametrize("forks", [1, 5])
def test_over_ssh(ssh_site: Site, forks: int) -> None:
    job = short_example(ssh_site.folder)
    play = ssh_site.run(job, "-i", str(ssh_site.lab.inventory), f"--forks={forks}")
    check_example(ssh_site, play, job, seconds=1)
