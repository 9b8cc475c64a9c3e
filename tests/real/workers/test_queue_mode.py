# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs through queues: workers on the machines take them, no controller drives them."""

from __future__ import annotations

from support.example import check_example, short_example
from workers.conftest import Started


def test_the_example_gives_the_same_as_without_queues(lab_workers: Started) -> None:
    with lab_workers("server-1", "client-1", "client-2") as lab:
        for machine in lab.site.lab.nodes:
            lab.start(machine)
        lab.wait_until_idle()
        job = short_example(lab.site.folder)
        play = lab.submit(job)
        assert play.wait(120) == 0, play.output + lab.outputs()
        lab.end()
        check_example(lab.site, play, job, seconds=1)
