# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it can change in any release.

from __future__ import annotations

import base64
import datetime
import hashlib
import typing as t
from pathlib import Path

import jinja2
from ansible_collections.lab.multidevice.plugins.plugin_utils._report._text import clean
from markupsafe import Markup

HERE = Path(__file__).parent


def render(template: str, **values: t.Any) -> str:
    """Fill a template of this folder. All that is put in is escaped; what slipped through all the same cannot run.

    The page's own style and script are all that its policy lets in, by their checksums.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        finalize=lambda value: clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(utc=utc, iso=iso)
    css, js = ((HERE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    policy = (
        f"default-src 'none'; style-src {_digest(css)}; script-src {_digest(js)}; base-uri 'none'; form-action 'none'"
    )
    return environment.get_template(template).render(css=Markup(css), js=Markup(js), policy=policy, **values)


def utc(seconds: float) -> str:
    """A moment as people write it."""
    return _moment(seconds).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(seconds: float) -> str:
    """A moment as machines read it."""
    return _moment(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
