# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes docs/reference/ from what ansible-doc tells of the collection. With --check, only says what is out of date.

Runs in the environment of the checkers, which has ansible-doc and the parser of its markup.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import jinja2
from antsibull_docs_parser import dom
from antsibull_docs_parser.format import LinkProvider
from antsibull_docs_parser.md import MDFormatter, to_md
from antsibull_docs_parser.parser import Context, parse

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
COLLECTION = "lab.multidevice"
KINDS = {
    "module": "Modules",
    "role": "Roles",
    "inventory": "Inventory plugins",
    "connection": "Connection plugins",
    "callback": "Callback plugins",
    "filter": "Filters",
}


class Page(t.NamedTuple):
    kind: str
    name: str
    short: str
    file: str
    text: str


class Links(LinkProvider):
    """Plugins of the collection have pages beside this one, those of ansible-core at docs.ansible.com."""

    def plugin_link(self, plugin: dom.PluginIdentifier) -> str | None:
        collection, _dot, name = plugin.fqcn.rpartition(".")
        if collection == COLLECTION:
            return file_name(plugin.type, name)
        if collection == "ansible.builtin":
            return f"https://docs.ansible.com/ansible/latest/collections/ansible/builtin/{name}_{plugin.type}.html"
        return None


class Markdown(MDFormatter):
    """Code in backquotes, and no more escaped than has to be."""

    def format_text(self, part: dom.TextPart) -> str:
        return part.text.replace("<", "&lt;").replace("*", "\\*").replace("|", "\\|").replace("_", "\\_")

    def format_code(self, part: dom.CodePart) -> str:
        return _code(part.text)

    def format_option_value(self, part: dom.OptionValuePart) -> str:
        return _code(part.value)

    def format_env_variable(self, part: dom.EnvVariablePart) -> str:
        return _code(part.name)

    def format_option_name(self, part: dom.OptionNamePart, url: str | None) -> str:
        return _code(part.name if part.value is None else f"{part.name}={part.value}")

    def format_return_value(self, part: dom.ReturnValuePart, url: str | None) -> str:
        return _code(part.name if part.value is None else f"{part.name}={part.value}")

    def format_module(self, part: dom.ModulePart, url: str | None) -> str:
        return f"[{part.fqcn}]({url})" if url else part.fqcn

    def format_plugin(self, part: dom.PluginPart, url: str | None) -> str:
        return f"[{part.plugin.fqcn}]({url})" if url else part.plugin.fqcn

    def format_url(self, part: dom.URLPart) -> str:
        return f"<{part.url}>"

    def format_link(self, part: dom.LinkPart) -> str:
        return f"[{part.text}]({part.url})"


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def file_name(kind: str, name: str) -> str:
    return f"{name}_{kind}.md"


def markdown(text: str | t.Sequence[str] | None, kind: str, fqcn: str, entry_point: str = "") -> str:
    """Paragraphs of Ansible's markup, with empty lines between them.

    :param entry_point: of a role, the part whose options the text names.
    :raises ValueError: the markup cannot be read.
    """
    plugin = dom.PluginIdentifier(fqcn=fqcn, type=kind)
    context = Context(current_plugin=plugin, role_entrypoint=entry_point or None)
    paragraphs = [text] if isinstance(text, str) else list(text or ())
    parsed = [part for one in paragraphs for part in parse(one, context, errors="exception")]
    return to_md(parsed, formatter=Markdown(), link_provider=Links(), current_plugin=plugin)


def rows(options: t.Mapping[str, t.Any], inner: str, prefix: str = "") -> t.Iterator[tuple[str, t.Mapping[str, t.Any]]]:
    """Options or return values with what is inside them, each under its full name.

    :param inner: the key that holds what is inside: ``options``, ``suboptions`` or ``contains``.
    """
    for name, option in options.items():
        yield f"{prefix}{name}", option
        yield from rows(option.get(inner) or {}, inner, f"{prefix}{name}.")


def role_summary(name: str) -> str:
    """The first paragraph of its README.md: a role with several parts has no description of its own in ansible-doc."""
    readme = (REPOSITORY / "roles" / name / "README.md").read_text(encoding="utf-8")
    paragraphs = readme.partition(f"# {name}\n")[2].strip().split("\n\n")
    return " ".join(paragraphs[0].split())


def documentation() -> dict[str, dict[str, t.Any]]:
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / "playbooks" / "collections")}
    done = subprocess.run(
        [pathlib.Path(sys.executable).parent / "ansible-doc", "--metadata-dump", COLLECTION],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, dict[str, t.Any]] = json.loads(done.stdout)["all"]
    return found


def pages(faults: list[str]) -> t.Iterator[Page]:
    """All pages. What cannot be read in the documentation is left out, and goes to ``faults`` as a sentence."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(REPOSITORY / "tools"),
        autoescape=False,  # what it writes is Markdown
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.get_template("reference.md.j2")
    found = documentation()
    written = []
    for kind in KINDS:
        for fqcn, about in sorted(found.get(kind, {}).items()):
            collection, _dot, name = fqcn.rpartition(".")
            if collection != COLLECTION:
                continue
            parts = about["entry_points"] if kind == "role" else {"": about["doc"]}

            def write(text: str | t.Sequence[str] | None, part: str = "", kind: str = kind, fqcn: str = fqcn) -> str:
                try:
                    return markdown(text, kind, fqcn, part)
                except ValueError as error:
                    faults.append(f"{fqcn}: {error}")
                    return ""

            text = template.render(
                kind=kind, fqcn=fqcn, parts=parts, about=about, rows=rows, markdown=write, code=_code
            )
            short = role_summary(name) if kind == "role" else write(about["doc"]["short_description"])
            page = Page(kind, name, short, file_name(kind, name), text)
            written.append(page)
            yield page
    index = environment.get_template("reference_index.md.j2").render(kinds=KINDS, pages=written)
    yield Page("", "", "", "README.md", index)


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        print(f"usage: {sys.argv[0]} [--check]", file=sys.stderr)
        return 2
    folder = REPOSITORY / "docs" / "reference"
    faults: list[str] = []
    wanted = {folder / page.file: page.text for page in pages(faults)}
    # A short description is on its page and in the index.
    for fault in dict.fromkeys(faults):
        print(fault)
    if faults:
        return 1
    # What was written by hand lies beside it.
    there = {path for path in folder.glob("*.md") if path.read_text(encoding="utf-8").startswith("<!-- generated")}
    stale = sorted(there - set(wanted))
    changed = sorted(path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text)
    if not check:
        for path in stale:
            path.unlink()
        for path in changed:
            path.write_text(wanted[path], encoding="utf-8")
        return 0
    for path in [*stale, *changed]:
        print(f"{path.relative_to(REPOSITORY)} is out of date; run 'make reference'")
    return 1 if stale or changed else 0


if __name__ == "__main__":
    sys.exit(main())
