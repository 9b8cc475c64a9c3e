# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cannot be run, with the beginning of the sentence that refuses it."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.lab.multidevice.tests.unit.plugins.plugin_utils.job_lab import JobLab

BLOCKS = "if role server:\n  netserver:\nif role client:\n  netperf:\n"
GOOD = f"cluster: pair\n{BLOCKS}"


def bad_input_lab(folder: Path) -> JobLab:
    """The cluster, the scripts and the files to include that the jobs below name."""
    lab = JobLab(folder)
    lab.cluster()
    lab.scripts("tests/netperf", "tests/sleep", options=["test"])
    lab.scripts("daemon/netserver")
    lab.write("outside.yaml", "x: 1\n")
    os.symlink(folder / "outside.yaml", folder / "jobs" / "link.yaml")
    lab.write("jobs/loop.yaml", "<< : loop.yaml\n")
    lab.write("jobs/many.yaml", "<< : empty.yaml\n" * 200)
    lab.write("jobs/empty.yaml", "")
    lab.write("jobs/list.yaml", "- a\n")
    lab.write("jobs/two.yaml", "a: 1\n---\nb: 2\n")
    lab.write("jobs/bad.yaml", "a: 1\nb: [\n")
    lab.write("jobs/erb.yaml", "a: 1\ny: <%= system('x') %>\n")
    return lab


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in ("ab", "bc", "cd", "de", "ef", "fg", "gh", "hi", "ij")
)
DOUBLING = "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}\n" for n in range(1, 40))

JOBS: dict[str, tuple[str | bytes, str]] = {
    # YAML
    "not closed": ("cluster: [pair\nx: 1\n", "job.yaml, line 2, column 2: not YAML: "),
    "tab": (
        "cluster: pair\n\tx: 1\n",
        "job.yaml, line 2, column 1: not YAML: found ",
    ),
    "indentation": (
        f"cluster: pair\n  x: 1\n{BLOCKS}",
        "job.yaml, line 2, column 4: not YAML: mapping values are not allowed",
    ),
    "not UTF-8": (b"cluster: pair\nx: \xff\n", "job.yaml, line 2: the file is not UTF-8 text."),
    "control character": (
        b"cluster: pair\nx: \x01\n",
        "job.yaml, line 2: not YAML: the character U+0001 is not allowed in it.",
    ),
    "NUL": ('cluster: pair\nx: "a\\0b"\n', "job.yaml, line 2: the text holds a NUL character."),
    "twice": (
        "cluster: pair\nx: 1\nx: 2\n",
        'job.yaml, line 3, key "x": the key is there twice, first in line 2; keep one',
    ),
    "twice inside": (
        f"cluster: pair\n{BLOCKS}  netperf: {{}}\n",
        'job.yaml, line 6, key "netperf": the key is there twice, first in line 5',
    ),
    "role twice": (
        "cluster: pair\nif role server:\n  a: 1\nif role  server :\n  b: 1\n",
        'job.yaml, line 4, key "if role server": the key is there twice, first in line 2',
    ),
    "key that is a list": ("? [a, b]\n: c\n", "job.yaml, line 1: a key must be a text, not a list or a mapping."),
    "key that is an alias": ("a: &a x\n*a : y\n", 'job.yaml, line 2: the alias "*a" cannot be a key.'),
    "tag": (
        "x: !ruby/object:Gem {a: b}\n",
        'job.yaml, line 1: the YAML tag "!ruby/object:Gem" is not allowed; write a plain',
    ),
    "Python tag": (
        "x: !!python/object/apply:os.system ['true']\n",
        'job.yaml, line 1: the YAML tag "tag:yaml.org,2002:python/object',
    ),
    "scalar tag": ("x: !env HOME\n", 'job.yaml, line 1: the YAML tag "!env" is not allowed'),
    "unknown alias": ("x: *a\n", 'job.yaml, line 1: the alias "*a" has no anchor above it, or stands in it.'),
    "alias in itself": ("x: &a [*a]\n", 'job.yaml, line 1: the alias "*a" has no anchor above it, or stands in it.'),
    "deep flow": ("x: " + "[" * 10_000 + "]" * 10_000, "job.yaml, line 1: nested more than 64 levels deep."),
    "deep mappings": ("x: " + "{a: " * 10_000 + "}" * 10_000, "job.yaml, line 1: nested more than 64 levels deep."),
    "deep keys": ("x: " + "{" * 10_000 + "}" * 10_000, "job.yaml, line 1: nested more than 64 levels deep."),
    "deep blocks": (
        "\n".join(f"{' ' * level}a:" for level in range(1000)),
        "job.yaml, line 65: nested more than 64 levels deep.",
    ),
    "exploding anchors": (LAUGHS, "job.yaml, line 6: more than 250000 values once its aliases are written out."),
    "doubling anchors": (DOUBLING, "job.yaml, line 17: more than 250000 values once its aliases are written out."),
    "exploding text": (
        "a: &a " + "x" * 100_000 + "\nb: [" + ", ".join(["*a"] * 1000) + "]\n",
        "job.yaml, line 2: more than 250000 values",
    ),
    "empty": ("", "job.yaml: the job file is empty."),
    "only a comment": ("# nothing\n---\n", "job.yaml: the job file is empty."),
    "list": ("- a\n", "job.yaml: a job is a mapping of keys and values, not a list."),
    "text": ("hello\n", 'job.yaml: a job is a mapping of keys and values, not "hello".'),
    # Clusters and roles
    "no cluster": (BLOCKS, 'job.yaml, line 1: the job names no cluster; write "cluster: NAME" or "cluster_spec:".'),
    "cluster is a list": (
        f"cluster: [pair, other]\n{BLOCKS}",
        'job.yaml, line 1, key "cluster": expects the name of a cluster file, not a list.',
    ),
    "cluster is a number": (
        f"cluster: 5\n{BLOCKS}",
        'job.yaml, line 1, key "cluster": expects the name of a cluster file, not "5".',
    ),
    "cluster is not there": (f"cluster: par\n{BLOCKS}", 'job.yaml, line 1, key "cluster": no cluster file "par" in'),
    "cluster is nearly there": (
        f"cluster: pairr\n{BLOCKS}",
        'job.yaml, line 1, key "cluster": no cluster file "pairr" in ',
    ),
    "cluster with a path": (
        f"cluster: ../pair\n{BLOCKS}",
        'job.yaml, line 1, key "cluster": "../pair" is no name of a cluster file',
    ),
    "cluster with a space": (
        f"cluster: 'a b'\n{BLOCKS}",
        'job.yaml, line 1, key "cluster": "a b" is no name of a cluster file',
    ),
    "cluster without nodes": (
        f"cluster_spec: {{nodes: }}\n{BLOCKS}",
        'job.yaml, line 1: cluster "cluster_spec" has no nodes.',
    ),
    "cluster_spec is a text": (
        f"cluster_spec: x\n{BLOCKS}",
        'job.yaml, line 1: a cluster is a mapping of node names, not "x".',
    ),
    "MAC": (
        f"cluster_spec:\n  nodes:\n    a:\n      roles: [server]\n      macs: [zz]\n{BLOCKS}",
        'job.yaml, line 5, key "macs": "zz" is no address of a network card; write it like "02:00:00:00:00:01".',
    ),
    "no role": (
        "cluster: pair\nnetperf:\n",
        'job.yaml, line 1: the job has no "if role X:" block, so no machine has anything to do.',
    ),
    "role without a node": (
        "cluster: pair\nif role server:\nif role clients:\n",
        'job.yaml, line 3, key "if role clients": no node of cluster "pair" (pair) has the role "clients". Did you mean client?',
    ),
    "two words": (
        "cluster: pair\nif role server client:\n",
        'job.yaml, line 2, key "if role server client": "server client" is one name here, and no role has spaces; write one',
    ),
    "two nested words": (
        "cluster: pair\nif role server:\n  if role a b:\n",
        'job.yaml, line 3, key "if role a b": "a b" is one name',
    ),
    "no word": (
        "cluster: pair\n'if role :':\n",
        'job.yaml, line 2, key "if role :": the role is missing; write "if role server:".',
    ),
    "role without a colon": (
        "cluster: pair\nif role: server\n",
        'job.yaml, line 2, key "if role": the role is missing; write "if role server:"',
    ),
    "role with a slash": (
        "cluster: pair\nif role a/b:\n",
        'job.yaml, line 2, key "if role a/b": "a/b" is no name of a role: one word of letters',
    ),
    "role with dots": ("cluster: pair\nif role ..:\n", 'job.yaml, line 2, key "if role ..": ".." is no name of a role'),
    "role with shell": (
        "cluster: pair\nif role $(x):\n",
        'job.yaml, line 2, key "if role $(x)": "$(x)" is no name of a role',
    ),
    "role with a newline": (
        'cluster: pair\n"if role a\\nb":\n',
        'job.yaml, line 2, key "if role a\\nb": "a\\nb" is one name here',
    ),
    "role PATH": (
        "cluster: pair\nif role PATH:\n",
        'job.yaml, line 2, key "if role PATH": a role cannot be called "PATH"',
    ),
    "role is a list": (
        "cluster: pair\nif role server: [netserver]\n",
        'job.yaml, line 2, key "if role server": expects the scripts and variables of the role as a mapping, not a list.',
    ),
    "role among parameters": (
        "cluster: pair\nif role client:\n  netperf:\n    if role client:\n      x: 1\n",
        'job.yaml, line 4, key "if role client": an "if role" block cannot stand among the parameters of a script.',
    ),
    # Constructs that are not supported
    "ERB": (
        "cluster: pair\nx: <%= `id` %>\n",
        'job.yaml, line 2, key "x": the embedded Ruby "<%= `id` %>" is not run; write the value',
    ),
    "ERB on lines": (
        "cluster: pair\nx:\n  <% 3.times do |i| %>\n  - a\n",
        'job.yaml, line 2, key "x": the embedded Ruby "<% 3.times do |i| %> - a" is not',
    ),
    "ERB line": ("cluster: pair\n% if true\nx: 1\n", 'job.yaml, line 2: the embedded Ruby "% if true" is not run'),
    "ERB key": ("cluster: pair\n<%= x %>: 1\n", "job.yaml, line 2: the embedded Ruby"),
    "ERB in a script": (
        "script tests/a: |\n  <%= File.read('x') %>\n",
        'job.yaml, line 1, key "script tests/a": the embedded Ruby "<%= File',
    ),
    "expression": (
        "cluster: pair\nx: '{{ runtime * 2 }}'\n",
        'job.yaml, line 2, key "x": the embedded Ruby "{{ runtime * 2 }}" is not run',
    ),
    "expression without quotes": ("x: {{ runtime * 2 }}\n", "job.yaml, line 1: a key must be a text"),
    "reference in text": ("cluster: pair\nx: {{ a }} b\n", "job.yaml, line 2, column 12: not YAML: "),
    "reference to nothing": (
        f"x: '{{{{ y }}}}'\n{GOOD}",
        'job.yaml, line 1, key "x": "{{ y }}" refers to "y", which is no plain value',
    ),
    "reference to a list": (
        f"y: [1]\nx: '{{{{ y }}}}'\n{GOOD}",
        'job.yaml, line 2, key "x": "{{ y }}" refers to "y", which is no plain value of the job',
    ),
    "reference to itself": (
        f"x: '{{{{ x }}}}'\n{GOOD}",
        'job.yaml, line 1, key "x": "{{ x }}" refers to "x", which is no plain value of the job',
    ),
    "reference to a reference": (
        f"y: '{{{{ x }}}}'\nx: '{{{{ y }}}}'\n{GOOD}",
        'job.yaml, line 1, key "y": "{{ x }}" refers to "x", which is no plain value of the job',
    ),
    "override": (
        "override:\n  x: 1\n",
        'job.yaml, line 1, key "override": is not supported; write the values in the documents',
    ),
    "if-role": (
        "netperf:\n  if-role: server\n",
        'job.yaml, line 2, key "if-role": is not supported; put the script into an "if role X:"',
    ),
    "loop": (
        "for i in 1 2:\n  netperf:\n",
        'job.yaml, line 1, key "for i in 1 2": a shell "for" is not supported; put the loop into the',
    ),
    "while": ("while true:\n  netperf:\n", 'job.yaml, line 1, key "while true": a shell "while" is not supported'),
    "function": (
        "function foo: |\n  echo\n",
        'job.yaml, line 1, key "function foo": "function" is not supported; write the commands as a "script tests/NAME: |"',
    ),
    "command": ("command ls -l:\n", 'job.yaml, line 1, key "command ls -l": "command" is not supported'),
    "call": ("call foo:\n", 'job.yaml, line 1, key "call foo": "call" is not supported'),
    "source": ("source foo:\n", 'job.yaml, line 1, key "source foo": "source" is not supported'),
    "tied parameters": (
        "a | b:\n- 1 | 2\n",
        'job.yaml, line 1, key "a | b": parameters tied together are not supported; write one document',
    ),
    "tied parameters with spaces": (
        "os os_version:\n- debian 12\n",
        'job.yaml, line 1, key "os os_version": parameters tied together are not supported',
    ),
    "background block": (
        f"{GOOD}load:\n  netperf: {{x: 1}}\n",
        'job.yaml, line 6, key "load": names no script but holds one, "netperf"; a block that runs in the background is not supported',
    ),
    "background block at its end": (
        f"{GOOD}load:\n  x: {{a: 1}}\n  netperf:\n",
        'job.yaml, line 6, key "load": names no script but holds one, "netperf"; a block',
    ),
    "roles in a block": (
        f"{GOOD}load:\n  if role server:\n    x: 1\n",
        'job.yaml, line 6, key "load": names no script but holds an "if role" block',
    ),
    "condition without scripts": (
        f"{GOOD}if [ -e /x ]:\n  a: 1\n",
        'job.yaml, line 6, key "if [ -e /x ]": sets variables but runs no script; set them in the scripts that need them.',
    ),
    "condition of two lines": (
        '"if a\\nb":\n  netperf:\n',
        'job.yaml, line 1, key "if a\\nb": the condition must be one line of shell',
    ),
    # Includes
    "include nothing": (
        "<< : none.yaml\n",
        'job.yaml, line 1, key "<<": no file "none.yaml" to include: it must lie in',
    ),
    "include absolute": ("<< : /etc/passwd\n", 'job.yaml, line 1, key "<<": no file "/etc/passwd" to include'),
    "include outside": ("<< : ../outside.yaml\n", 'job.yaml, line 1, key "<<": no file "../outside.yaml" to include'),
    "include through a link": ("<< : link.yaml\n", 'job.yaml, line 1, key "<<": no file "link.yaml" to include'),
    "include a loop": (
        "<< : loop.yaml\n",
        'loop.yaml, line 1, key "<<": the file "loop.yaml" includes itself, or is included',
    ),
    "include many": ("<< : many.yaml\n", 'many.yaml, line 100, key "<<": more than 100 files are included.'),
    "include a list": (
        "<< : list.yaml\n",
        'job.yaml, line 1, key "<<": the file "list.yaml" must hold one mapping of keys and values.',
    ),
    "include documents": ("<< : two.yaml\n", 'job.yaml, line 1, key "<<": the file "two.yaml" must hold one mapping'),
    "include bad YAML": ("x: 1\n<< : bad.yaml\n", "bad.yaml, line 3, column 1: not YAML: "),
    "include ERB": ("x: 1\n<< : erb.yaml\n", 'erb.yaml, line 2, key "y": the embedded Ruby'),
    "merge a list": ("<< : [a]\n", 'job.yaml, line 1, key "<<": expects a mapping, not "a".'),
    # Scripts
    "inline path": (
        "script tests/../x: |\n  a\n",
        'job.yaml, line 1, key "script tests/../x": an inline script is written "script tests/NAME: |"',
    ),
    "inline stats path": (
        "script stats/../x: |\n  a\n",
        'job.yaml, line 1, key "script stats/../x": an inline script is written "script tests/NAME: |"',
    ),
    "inline folder": (
        "script bin/x: |\n  a\n",
        'job.yaml, line 1, key "script bin/x": an inline script is written "script tests/NAME: |"',
    ),
    "inline without a name": (
        "script: |\n  a\n",
        'job.yaml, line 1, key "script": an inline script is written "script tests/NAME: |"',
    ),
    "inline path after a tab": (
        '"script\\ttests/../x": a\n',
        'job.yaml, line 1, key "script\\ttests/../x": an inline script is written "script tests/NAME: |"',
    ),
    "inline list after a tab": (
        '"script\\ttests/x": [a]\n',
        'job.yaml, line 1, key "script\\ttests/x": expects the text of the script, not a list.',
    ),
    "inline list": (
        "script tests/x: [a]\n",
        'job.yaml, line 1, key "script tests/x": expects the text of the script, not a list.',
    ),
    "open quote": (
        f"{GOOD}  sleep: it's\n",
        'job.yaml, line 6, key "sleep": "it\'s" cannot be split into arguments: a quote is not',
    ),
    "ready for nothing": (
        f"ready: {{netsever: {{port: 5}}}}\n{GOOD}",
        'job.yaml, line 1, key "ready.netsever": no daemon of that name. Did you',
    ),
    "ready for a test": (
        f"ready: {{netperf: {{port: 5}}}}\n{GOOD}",
        'job.yaml, line 1, key "ready.netperf": no daemon of that name.',
    ),
    "ready by name": (
        f"ready: {{netserver: 5}}\n{GOOD}",
        'job.yaml, line 1, key "netserver": expects one of port, file and command, and a',
    ),
    "ready in two ways": (
        f"ready: {{netserver: {{port: 5, file: x}}}}\n{GOOD}",
        'job.yaml, line 1, key "netserver": expects one of port, file and command',
    ),
    "ready port": (
        f"ready: {{netserver: {{port: 70000}}}}\n{GOOD}",
        'job.yaml, line 1, key "netserver.port": expects a number from 1 to 65535',
    ),
    "ready port 0": (
        f"ready: {{netserver: {{port: 0}}}}\n{GOOD}",
        'job.yaml, line 1, key "netserver.port": expects a number from 1 to 65535, not "0".',
    ),
    "ready port too large": (
        f"ready: {{netserver: {{port: 65536}}}}\n{GOOD}",
        'job.yaml, line 1, key "netserver.port": expects a number from 1 to 65535, not "65536".',
    ),
    "ready port yes": (
        f"ready: {{netserver: {{port: yes}}}}\n{GOOD}",
        'job.yaml, line 1, key "netserver.port": expects a number from 1 to 65535, not',
    ),
    "ready port of text": (
        f"ready: {{netserver: {{port: '5'}}}}\n{GOOD}",
        'job.yaml, line 1, key "netserver.port": expects a number from 1 to 65535, not',
    ),
    "ready command": (
        f"ready: {{netserver: {{command: ' '}}}}\n{GOOD}",
        'job.yaml, line 1, key "netserver.command": expects a text, not " ".',
    ),
    "ready with more": (
        f"ready: {{netserver: {{port: 5, prot: udp}}}}\n{GOOD}",
        'job.yaml, line 1, key "netserver": expects one of port, file and command, and a timeout if need be, not port, prot.',
    ),
    "ready with nothing": (
        f"ready: {{netserver: {{}}}}\n{GOOD}",
        'job.yaml, line 1, key "netserver": expects one of port, file and command, and a timeout if need be, not nothing.',
    ),
    "ready with a timeout only": (
        f"ready: {{netserver: {{timeout: 5}}}}\n{GOOD}",
        'job.yaml, line 1, key "netserver": expects one of port, file and command, and a timeout if need be, not timeout.',
    ),
    "ready file": (
        f"ready: {{netserver: {{file: [a]}}}}\n{GOOD}",
        'job.yaml, line 1, key "netserver.file": expects a text, not a list.',
    ),
    "ready timeout": (
        f"ready: {{netserver: {{port: 1, timeout: x}}}}\n{GOOD}",
        'job.yaml, line 1, key "netserver.timeout": expects a time such as 30 or "5m", not "x".',
    ),
    "timeout": (
        f"timeout: {{netperf: -1}}\n{GOOD}",
        'job.yaml, line 1, key "netperf": expects a time such as 30 or "5m", not "-1".',
    ),
    "timeout of 0": (
        f"timeout: {{netperf: 0}}\n{GOOD}",
        'job.yaml, line 1, key "netperf": expects a time such as 30 or "5m", not "0".',
    ),
    "timeout of 0 s": (
        f"timeout: {{netperf: 0s}}\n{GOOD}",
        'job.yaml, line 1, key "netperf": expects a time such as 30 or "5m", not "0s".',
    ),
    "timeout that is a mapping": (
        f"timeout: {{netperf: {{a: 1}}}}\n{GOOD}",
        'job.yaml, line 1, key "netperf": expects a time such as 30 or "5m", not a mapping.',
    ),
    "ready timeout of 0": (
        f"ready:\n  netserver:\n    port: 1\n    timeout: 0\n{GOOD}",
        'job.yaml, line 4, key "netserver.timeout": expects a time such as 30 or "5m", not "0".',
    ),
    "timeout of nothing": (
        f"timeout: {{netpref: 5}}\n{GOOD}",
        'job.yaml, line 1, key "timeout.netpref": no script of that name. Did you mean',
    ),
    "too many runs": (
        f"{GOOD}    test: [{', '.join(['x'] * 40)}]\n  sleep: [{', '.join(['x'] * 40)}]\n",
        "job.yaml, line 7: the parameter lists and documents of the job make more than 1000 runs",
    ),
}

# Of each file that is called "lab", its text.
CLUSTERS: list[tuple[str | bytes, str]] = [
    ("", 'lab: cluster "lab" has no nodes'),
    ("nodes:\n", 'lab, line 1: cluster "lab" has no nodes'),
    ("ip0: 1\nnodes:\n", 'lab, line 2: cluster "lab" has no nodes.'),
    ("nodes: {}\n", 'lab, line 1: cluster "lab" has no nodes'),
    ("ip0: 1\nswitch: x\n", 'lab: cluster "lab" has no nodes'),
    ("- a\n- b\n", "lab: a cluster is a mapping of node names, not a list"),
    ("ip0: 1\nnodes: [a, b]\n", 'lab, line 2, key "nodes": expects a mapping of node names, not a list.'),
    ("nodes: [a, b]\n", 'lab, line 1, key "nodes": expects a mapping of node names, not a list'),
    ("nodes:\n  a:\n", 'lab, line 2, key "a": a node is a mapping with roles and macs, not nothing'),
    ("nodes:\n  a: {role: [x]}\n", 'lab, line 2, key "a": the node has no "roles:"; write'),
    ("nodes:\n  a: {roles: {x: 1}}\n", 'lab, line 2, key "roles": node "a": expects a list, not a mapping'),
    (
        "nodes:\n  a: {roles: [[x]]}\n",
        'lab, line 2, key "roles": node "a": expects a list of texts, but a list is in it',
    ),
    ("nodes:\n  a: {roles: [x, x]}\n", 'lab, line 2, key "roles": node "a" has the same role twice'),
    ("nodes:\n  a: {roles: ['x y']}\n", 'lab, line 2, key "roles": "x y" is no name of a role'),
    ("nodes:\n  a: {roles: ['x;y']}\n", 'lab, line 2, key "roles": "x;y" is no name of a role'),
    ("nodes:\n  a: {roles: ['$(x)']}\n", 'lab, line 2, key "roles": "$(x)" is no name of a role'),
    ("nodes:\n  a: {roles: [PATH]}\n", 'lab, line 2, key "roles": a role cannot be called "PATH"'),
    (
        "nodes:\n  a: {roles: [x-y]}\n  b: {roles: [x.y]}\n",
        'lab: the roles "x-y" and "x.y" would both be exported as x_y',
    ),
    ("nodes:\n  a/b: {roles: [x]}\n", 'lab, line 2, key "a/b": a node\'s name starts with'),
    ("nodes:\n  a..b: {roles: [x]}\n", 'lab, line 2, key "a..b": a node\'s name'),
    ("nodes:\n  ..: {roles: [x]}\n", 'lab, line 2, key "..": a node\'s name'),
    ("nodes:\n  -oProxyCommand=x: {roles: [x]}\n", 'lab, line 2, key "-oProxyCommand=x": a node\'s name'),
    ("nodes:\n  'a b': {roles: [x]}\n", 'lab, line 2, key "a b": a node\'s name'),
    ('nodes:\n  "a\\nb": {roles: [x]}\n', 'lab, line 2, key "a\\nb": a node\'s name'),
    ("nodes:\n  'a;reboot': {roles: [x]}\n", 'lab, line 2, key "a;reboot": a node\'s name'),
    (
        f"nodes:\n  {'a' * 129}: {{roles: [x]}}\n",
        'lab, line 2, key "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...": a node\'s name',
    ),
    (
        "nodes:\n  a: {roles: [x], macs: ['02:00:00:00:00']}\n",
        'lab, line 2, key "macs": "02:00:00:00:00" is no address of a network card',
    ),
    (
        "nodes:\n  a: {roles: [x], macs: ['02:00:00:00:00:0g']}\n",
        'lab, line 2, key "macs": "02:00:00:00:00:0g" is no address of a network card',
    ),
    (
        "nodes:\n  a: {roles: [x], macs: ['02:00-00:00:00:01']}\n",
        'lab, line 2, key "macs": "02:00-00:00:00:01" is no address of a network card',
    ),
    (
        "nodes:\n  a: {roles: [x], macs: ['00:00:00:00:00:00']}\n",
        'lab, line 2, key "macs": "00:00:00:00:00:00" is no address of a network card',
    ),
    (
        "nodes:\n  a: {roles: [x], macs: ['ff:ff:ff:ff:ff:ff']}\n",
        'lab, line 2, key "macs": "ff:ff:ff:ff:ff:ff" is no address of a network card',
    ),
    ("nodes:\n  a: {roles: [x], macs: [' ']}\n", 'lab, line 2, key "macs": " " is no address of a network card'),
    (
        "nodes:\n  a: {roles: [x], macs: ['0200.00:00.000a']}\n",
        'lab, line 2, key "macs": "0200.00:00.000a" is no address of a network card',
    ),
    (
        "nodes:\n  a: {roles: [x], macs: ['02:00:00:00:00:01:02']}\n",
        'lab, line 2, key "macs": "02:00:00:00:00:01:02" is no address of a network card',
    ),
    (
        "nodes:\n  a: {roles: [yes]}\n",
        'lab, line 2, key "roles": node "a": expects a list of texts, but "True" is in it.',
    ),
    (
        "nodes:\n  a: {roles: [1.5]}\n",
        'lab, line 2, key "roles": node "a": expects a list of texts, but "1.5" is in it.',
    ),
    (
        "nodes:\n  a:\n    roles: [x]\n    macs: {b: c}\n",
        'lab, line 4, key "macs": node "a": expects a list, not a mapping.',
    ),
    ("nodes:\n  a: {roles: 5}\n", 'lab, line 2, key "roles": node "a": expects a list, not "5".'),
    ("nodes:\n  a: {roles: x x}\n", 'lab, line 2, key "roles": node "a" has the same role twice.'),
    (
        "nodes:\n  a: {roles: [x], macs: ['02:00:00:00:00:01', 02-00-00-00-00-01]}\n",
        'lab, line 2, key "a": the MAC 02:00:00:00:00:01 is there twice: node "a" has it as well.',
    ),
    (
        "nodes:\n  a: {roles: [x], macs: [{b: c}]}\n",
        'lab, line 2, key "macs": node "a": expects a list of texts, but a mapping is in it',
    ),
    (
        "nodes:\n  a: {roles: [x], macs: ['02:00:00:00:00:01']}\n  b: {roles: [y], macs: ['02-00-00-00-00-01']}\n",
        'lab, line 3, key "b": the MAC 02:00:00:00:00:01 is there twice: node "a" has it as well',
    ),
    ("ip0: one\nnodes: {a: {roles: [x]}}\n", 'lab, line 1, key "ip0": expects the number of the first host'),
    ("ip0: -1\nnodes: {a: {roles: [x]}}\n", 'lab, line 1, key "ip0": expects the number of the first host'),
    ("ip0: yes\nnodes: {a: {roles: [x]}}\n", 'lab, line 1, key "ip0": expects the number of the first host'),
    (
        "ip0: 1.5\nnodes: {a: {roles: [x]}}\n",
        'lab, line 1, key "ip0": expects the number of the first host, such as 1, not "1.5".',
    ),
    (
        f"ip0: '{'9' * 40}'\nnodes: {{a: {{roles: [x]}}}}\n",
        'lab, line 1, key "ip0": expects the number of the first host',
    ),
    ("ip0: '-1'\nnodes: {a: {roles: [x]}}\n", 'lab, line 1, key "ip0": expects the number of the first host'),
    ("ip0: [1]\nnodes: {a: {roles: [x]}}\n", 'lab, line 1, key "ip0": expects the number of the first host'),
    ("switch: x\nip0: one\na: {roles: [x]}\n", 'lab, line 2, key "ip0": expects the number of the first host'),
    ("a:\n  macs: []\n  roles: [x/y]\n", 'lab, line 3, key "roles": "x/y" is no name of a role'),
    ("a:\n  macs: []\n  roles: [x, x]\n", 'lab, line 3, key "roles": node "a" has the same role twice.'),
    ("a: {roles: [x]}\na: {roles: [y]}\n", 'lab, line 2, key "a": the key is there twice, first in line 1'),
    (
        "nodes: {a: {roles: [x]}}\n---\nnodes: {b: {roles: [x]}}\n",
        "lab: a cluster file is one YAML document, this one has 2",
    ),
    ("nodes:\n  a: {roles: [x}\n", "lab, line 2, column"),
    ("nodes:\n\ta: 1\n", "lab, line 2, column 1: not YAML"),
    (b"nodes:\n  a\xff: 1\n", "lab, line 2: the file is not UTF-8 text"),
    ("<< : other\nnodes: {a: {roles: [x]}}\n", 'lab, line 1, key "<<": expects a mapping'),
]
