# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How Hypothesis runs the tests that it feeds, those here and those in tests/real/."""

from __future__ import annotations

from pathlib import Path

from hypothesis import Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.internal.conjecture import engine

# Of a failure it tries smaller examples for so long, then it shows the smallest so far. Its own limit is five minutes,
# which is as much as a whole test may take. There is no setting for it; Hypothesis says to set it like this.
SHRINKING_SECONDS = 30


def load() -> None:
    engine.MAX_SHRINKING_SECONDS = SHRINKING_SECONDS
    settings.register_profile(
        "collection",
        # Of tests that wait for servers and other processes, time says nothing.
        deadline=None,
        # What failed is tried first the next time. git ignores the folder.
        database=DirectoryBasedExampleDatabase(Path(__file__).resolve().parents[2] / ".cache" / "hypothesis"),
        print_blob=True,
        # It looks for no other failure once it has one, and does not try which parts of the example matter.
        report_multiple_bugs=False,
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    )
    settings.load_profile("collection")
