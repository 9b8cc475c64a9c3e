# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sessions are antsibull-nox's, set up in antsibull-nox.toml. "make test" runs them, without environments of their own."""

import antsibull_nox

antsibull_nox.load_antsibull_nox_toml()
