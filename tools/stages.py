# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What "make test" does, stage by stage."""

from __future__ import annotations

import functools
import itertools
import os
import pathlib
import re
import shutil
import threading
import urllib.error
import urllib.request

import environments
from environments import REPOSITORY, Environment
from stage import Count, Run, Skip, Stage, count_junit

GET_PIP = """\
# Written by lab.multidevice's 'make test', because ansible-test could not download its own file of this name.
# It gives the environment the pip that lies beside it. Nothing there is compiled before its use: there are many of them.
import pathlib
import sys
import sysconfig

if __name__ == '__main__':
    pathlib.Path(sysconfig.get_path('purelib'), 'pip.pth').write_text(str(pathlib.Path(__file__).parent / '{folder}'))
    pathlib.Path(sys.prefix, 'pip.conf').write_text('[install]\\nno-compile = yes\\n')
"""
NOX_SESSIONS = (
    "build-import-check",
    "ansible-lint",
    "docs-check",
    "extra-checks",
    "license-check",
    "formatters",
    "codeqa",
    "antsibull-nox-config",
)
# What these sanity tests say depends on the ansible-core that they come with. The others look at the text only, and what
# the newest and the oldest can import, those in between can.
SANITY_OF_A_CORE = (
    "action-plugin-docs",
    "ansible-doc",
    "ignores",
    "runtime-metadata",
    "validate-modules",
)
LONGEST = ("end_to_end", "examples", "workers")
# Then those that wait most of the time, each beside something that keeps a processor busy.
WAITING = ("coordination", "node", "report", "virtual_lab")
# Two processes share the tests of these: most of them wait for something.
SHARED = ("end_to_end",)
# Their playbooks run on the oldest ansible-core, those of the other areas on the newest.
ON_THE_OLDEST = ("node", "report", "workers")
# Of how many tokens the same text is too much, and how like one another the syntax of two functions, whatever their names.
# The set-ups of tests are alike sooner.
TOO_MUCH_ALIKE = (
    ("--min-tokens=50", "--min-lines=4", "--similarity=0.85", "plugins", "tools", "benchmarks"),
    ("--min-tokens=60", "--min-lines=5", "tests"),
)
# Ansible wants the documentation of each module whole, and what is imported says nothing of what is done.
NOT_COMPARED = (
    r'(?s)(DOCUMENTATION|EXAMPLES|RETURN) = r?""".*?"""',
    r"(?ms)^(from|import) [^(\n]*(\([^)]*\))?",
)
NO_TESTS_COLLECTED = 5  # pytest's exit code for it
get_pip_lock = threading.Lock()


def all_stages() -> list[Stage]:
    """In the order of their start: the longest first, the shortest last."""
    oldest, newest = min(environments.CORES), max(environments.available_cores(), default=min(environments.CORES))
    of_areas = [
        Stage(
            f"real-{area}",
            "real",
            functools.partial(real, area=area, core=oldest if area in ON_THE_OLDEST else newest),
            minutes=25,
        )
        for area in real_areas()
    ]
    checks = [
        *(Stage(session, "lint", functools.partial(nox, session=session)) for session in NOX_SESSIONS),
        # antsibull-nox's session looks at plugins/ and tests/unit/ only.
        Stage("mypy", "lint", mypy),
        # ansible-test knows shell scripts by the ending .sh only.
        Stage("shellcheck", "lint", shellcheck),
        Stage("reference", "lint", reference),
        Stage("dead-code", "lint", dead_code),
        Stage("duplicates", "lint", duplicates),
        Stage("lua", "lint", lua),
        Stage("luacheck", "lint", luacheck),
    ]
    stages = [
        Stage(f"integration-{core}", "integration", functools.partial(integration, core=core), alone="machine")
        for core in dict.fromkeys((newest, oldest))
    ]
    sanity_tests: dict[str, tuple[str, ...]] = dict.fromkeys(environments.CORES, SANITY_OF_A_CORE)
    sanity_tests.update({oldest: (*SANITY_OF_A_CORE, "import"), newest: ()})
    for core in sorted(environments.CORES, reverse=True):
        stages += [
            Stage(
                f"units-{core}",
                "units",
                functools.partial(units if core == newest else units_in_one_process, core=core),
            ),
            Stage(
                f"sanity-{core}",
                "sanity",
                functools.partial(sanity, core=core, tests=sanity_tests[core]),
                alone="sanity",
            ),
        ]
    # These wait for one another, and what begins last must not be one of them.
    stages.sort(key=lambda stage: stage.alone != "sanity")
    side_by_side = itertools.zip_longest(of_areas[len(LONGEST) :], [*stages, *checks])
    return [*of_areas[: len(LONGEST)], *(stage for pair in side_by_side for stage in pair if stage)]


@functools.cache
def core_environment(core: str) -> Environment:
    try:
        return environments.core(core)
    except environments.NoPython as reason:
        raise Skip(f"ansible-core {core}: {reason}") from reason


def nox(run: Run, session: str) -> Count:
    """A session of antsibull-nox, in the environment of the checkers instead of one of its own.

    nox uses an environment that is there already. Each session gets a folder of its own that is made of the environment's
    parts, because nox writes into it.
    """
    checkers = environments.checkers()
    environment = run.folder / "nox" / session
    environment.mkdir(parents=True)
    for part in ("bin", "lib", "pyvenv.cfg"):
        (environment / part).symlink_to(checkers.path / part)
    command = ["nox", "-R", "--default-venv-backend=venv", f"--envdir={environment.parent}", f"--session={session}"]
    # In CI, what would be changed is an error instead.
    return run.check(environments.nox(), command, run.tree(), CI="true")


def mypy(run: Run) -> Count:
    tree = run.tree()
    folders = ("plugins", "tests", "tools", "benchmarks", "examples")
    import_paths = (run.folder, tree / "tools", tree / "tests" / "real")
    return run.check(
        environments.checkers(),
        ["mypy", f"--config-file={tree / 'pyproject.toml'}", f"--cache-dir={environments.CACHE / 'mypy'}"]
        + [str(tree.relative_to(run.folder) / folder) for folder in folders if any((tree / folder).rglob("*.py"))],
        run.folder,
        MYPYPATH=os.pathsep.join(str(path) for path in import_paths),
    )


def shellcheck(run: Run) -> Count:
    tree = run.tree()
    scripts = [path.relative_to(tree) for path in sorted(tree.rglob("*")) if is_shell_script(path)]
    if not scripts:
        raise Skip("there is no shell script")
    return run.check(environments.checkers(), ["shellcheck", *scripts], tree)


def is_shell_script(path: pathlib.Path) -> bool:
    if not path.is_file() or path.is_symlink() or ".git" in path.parts or path.suffix == ".j2":
        return False
    with open(path, "rb") as file:
        return re.match(rb"#! ?(/usr)?/bin/(env )?(ba|da)?sh\b", file.read(64)) is not None


def reference(run: Run) -> Count:
    return run.check(environments.checkers(), ["python", "tools/reference.py", "--check"], REPOSITORY)


def dead_code(run: Run) -> Count:
    """What is looked at, and what others call, is in pyproject.toml."""
    return run.check(environments.checkers(), ["vulture"], run.tree())


def duplicates(run: Run) -> Count:
    command = ["jscpd", "--format=python", "--skip-comments", "--no-colors", "--no-tips", "--exit-code=1"]
    command += ["--fail-on-empty", f"--ignore-pattern={','.join(NOT_COMPARED)}"]
    total = Count()
    for options in TOO_MUCH_ALIKE:
        total += run.check(environments.checkers(), [*command, *options], run.tree())
    return total


def lua(run: Run) -> Count:
    return run.check(environments.checkers(), ["python", "tools/lua.py", "--check"], REPOSITORY)


def luacheck(run: Run) -> Count:
    if not shutil.which("luacheck"):
        raise Skip("there is no luacheck; on Debian and its like it is in the package lua-check")
    return run.check(environments.checkers(), ["python", "tools/luacheck.py"], REPOSITORY)


def sanity(run: Run, core: str, tests: tuple[str, ...]) -> Count:
    """The tests named, or all."""
    environment = core_environment(core)
    make_get_pip_work(environment, run)
    tree = run.tree()
    # They are no part of a collection: ruff and mypy look after them.
    for name in ("benchmarks", "tools", "tests/real"):
        shutil.rmtree(tree / name, ignore_errors=True)
    (tree / "tests" / "run_all.py").unlink()
    variables = {"PATH": f"{environment.variables()['PATH']}{os.pathsep}{environments.checkers().bin}"}
    command = ["ansible-test", "sanity", "--junit", "--color", "no", *(f"--test={test}" for test in tests)]
    code = run.call(environment, command, tree, **variables)
    return count_junit((tree / "tests" / "output" / "junit").glob("*.xml"), code)


def make_get_pip_work(environment: Environment, run: Run) -> None:
    """ansible-test downloads a script that installs pip; where its server is out of reach, ours takes its place."""
    package = environment.path / "lib" / f"python{environment.python_version}" / "site-packages" / "ansible_test"
    versions = set(
        re.findall(r"""\bpip=["']([\d.]+)["']""", (package / "_internal" / "python_requirements.py").read_text())
    )
    setup = (package / "_util" / "target" / "setup" / "requirements.py").read_text()
    address = re.search(r"""url = ["'](https://\S+)["'] % pip_version""", setup)
    cache = pathlib.Path.home() / ".ansible" / "test" / "cache"
    with get_pip_lock:
        for version in versions:
            script = cache / f"get_pip_{version.replace('.', '_')}.py"
            if not script.exists() and address and not reachable(address[1] % version):
                run.write(f"{script.name} cannot be downloaded: installing pip from the configured index instead")
                cache.mkdir(parents=True, exist_ok=True)
                folder = cache / f"pip-{version}"
                pip = [*environments.pip_command(), "install", "--no-compile", "--no-deps"]
                if run.call(environment, [*pip, "--target", folder, f"pip=={version}"], cache):
                    return
                script.write_text(GET_PIP.format(folder=folder.name), encoding="utf-8")


@functools.cache
def reachable(address: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=10):
            return True
    except (urllib.error.URLError, OSError):
        return False


def units(run: Run, core: str) -> Count:
    environment = core_environment(core)
    tree = run.tree()
    code = run.call(
        environment,
        ["ansible-test", "units", "--local", "--python", environment.python_version, "--color", "no"],
        tree,
    )
    return count_junit((tree / "tests" / "output" / "junit").glob("*.xml"), code)


def units_in_one_process(run: Run, core: str) -> Count:
    """The same tests by pytest alone, without a process for each test, which takes a third of the time."""
    environment = core_environment(core)
    report = run.folder / "junit.xml"
    pytest = [str(environment.bin / "python"), "-m", "pytest", "tests/unit", "--color=no", f"--junitxml={report}"]
    code = run.call(environment, pytest, run.tree(), PYTHONPATH=str(run.folder))
    return count_junit([report] if report.exists() else [], code)


def integration(run: Run, core: str) -> Count:
    environment = core_environment(core)
    tree = run.tree()
    targets = sorted(path.name for path in (tree / "tests" / "integration" / "targets").glob("*") if path.is_dir())
    if not targets:
        raise Skip("there are no integration targets")
    if os.getuid() != 0:
        raise Skip("integration targets change the machine's network: they run as root only")
    code = run.call(
        environment,
        ["ansible-test", "integration", "--local", "--python", environment.python_version, "--color", "no"]
        + ["--continue-on-error", "--allow-destructive", "--allow-root"],
        tree,
    )
    return count_targets(run.output(), code)


def count_targets(output: str, code: int) -> Count:
    """One test for each target that ansible-test ran."""
    ran = set(re.findall(r"^Running (?!setup_)(\S+) integration test (?:role|script)$", output, re.MULTILINE))
    failed = set()
    listed = re.search(r"integration test\(s\) listed below .* failed.*:\n((?:\S+\n)+)", output)
    if listed:
        failed = set(listed[1].split())
    if code and not failed:
        return Count(len(ran), 1)
    return Count(len(ran - failed), len(failed))


def real_areas() -> list[str]:
    """The folders of tests/real/ in the order of their start."""
    areas = {path.parent.name for path in (REPOSITORY / "tests" / "real").glob("*/test_*.py")}
    return sorted(areas, key=lambda area: (area not in LONGEST, area not in WAITING, area))


def real(run: Run, area: str, core: str) -> Count:
    environment = core_environment(core)
    report = run.folder / "junit.xml"
    processes = "2" if area in SHARED else "0"
    code = run.call(
        environment,
        [
            environment.bin / "python",
            "-m",
            "pytest",
            f"tests/real/{area}",
            "--color=no",
            "--durations=10",
            f"--basetemp={run.folder / 't'}",
            f"--junitxml={report}",
            f"--numprocesses={os.environ.get('REAL_PROCESSES', processes)}",
            "--dist=loadfile",
            *os.environ.get("PYTEST_OPTIONS", "").split(),
        ],
        REPOSITORY,
    )
    if code == NO_TESTS_COLLECTED and os.environ.get("PYTEST_OPTIONS"):
        raise Skip("PYTEST_OPTIONS choose no test of it")
    return count_junit([report] if report.exists() else [], code)
