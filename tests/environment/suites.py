# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test suites: what each runs, and in which tools."""

from __future__ import annotations

import dataclasses
import functools
import os
import typing as t
from pathlib import Path

import ansible_test
from commands import Command, Failed, execute
from machine import REPOSITORY, CannotRun, cache, locked, postgresql_bin
from readme import newcomer
from stage import staged
from virtual_environments import ENVIRONMENTS

# What people have said in the room of the demo, as far as the account sees it whose data are exported there.
_SHOWN_IN_DEMO = ("@alice:demo.localhost", "Thank you! Is this a real homeserver?", "It is. I have a picture for you.")
# The oldest Python that a managed host may have.
_OLDEST_PYTHON = (3, 9)


@dataclasses.dataclass(frozen=True)
class Suite:
    """A suite with its name. `run` returns lines to show. Raises Failed, CannotRun, InstallationFailed or Stopped."""

    name: str
    run: t.Callable[[], t.Sequence[str]]


def checks(collection: Path, _targets: t.Sequence[str]) -> list[Suite]:
    """What examines the files: linters, sanity tests, documentation, zipped modules, the built artifact."""
    tree = collection.parents[2]
    found = {"ANSIBLE_COLLECTIONS_PATH": str(tree)}

    def tool(name: str, *arguments: str | Path, directory: Path = collection, **variables: str) -> t.Sequence[str]:
        linters = ENVIRONMENTS["linters"].build()
        path = f"{linters / 'bin'}:{os.environ['PATH']}"
        execute([linters / "bin" / name, *arguments], directory, {**found, "PATH": path, **variables})
        return ()

    def own(script: str, looked_at: Path = collection) -> t.Sequence[str]:
        return tool("python", collection / "tests" / "checks" / script, looked_at)

    def types() -> t.Sequence[str]:
        place = Path("ansible_collections", "matrix_ops", "synapse")
        settings = ("--config-file", collection / "mypy.ini", "--cache-dir", os.devnull)
        tool("mypy", *settings, place / "plugins", place / "tests/unit", directory=tree)
        # What runs on a developer's machine only is on the path of its neighbours, and may use what a newer Python has.
        for directory in ("tests/checks", "tests/environment"):
            tool("mypy", *settings, "--python-version", "3.11", ".", directory=collection / directory)
        # Benchmarks use what starts the tests and their servers, and the collection itself.
        used = [tree, collection / "tests/environment", collection / "tests/integration/targets/setup_synapse/files"]
        benchmarks = collection / "tests/benchmarks"
        path = ":".join(map(str, used))
        tool("mypy", *settings, "--python-version", "3.11", ".", directory=benchmarks, MYPYPATH=path)
        tool("mypy", *settings, "--python-version", "3.11", place / "tests/contract", directory=tree)
        return ()

    def sanity(name: str) -> t.Sequence[str]:
        ansible = ENVIRONMENTS[name].build()
        command: Command = [ansible / "bin" / "ansible-test", "sanity", "--color", "no", "--truncate", "0"]
        # The virtual environments of the sanity tests are shared by all runs of this user.
        with locked("sanity", ansible_test.HOME):
            execute(command, collection, ansible_test.environment(ansible))
        return ()

    def zipped(name: str) -> t.Sequence[str]:
        ansible = ENVIRONMENTS[name].build()
        check = [ansible / "bin" / "python", collection / "tests" / "checks" / "zipped.py", collection]
        execute([*check, *ansible_test.oldest_and_newest(_OLDEST_PYTHON).values()], collection)
        return ()

    def artifact() -> t.Sequence[str]:
        ansible = ENVIRONMENTS["ansible-newest"].build()
        importer = ENVIRONMENTS["galaxy-importer"].build()
        command: Command = [
            ansible / "bin" / "python",
            collection / "tests" / "checks" / "artifact.py",
            collection,
            importer / "bin",
        ]
        execute(command, collection, {"ANSIBLE_COLLECTIONS_PATH": "/nonexistent", "PATH": _path(ansible)})
        return ()

    def nox(session: str) -> t.Sequence[str]:
        nox_environment = ENVIRONMENTS["antsibull-nox"].build()
        command: Command = [nox_environment / "bin" / "nox", "--no-venv", "--sessions", session]
        # It looks at every file that is there, so those that the other suites leave behind must not be.
        with staged() as copy:
            execute(command, copy, {"PATH": _path(nox_environment)})
        return ()

    scripts = [
        path
        for path in sorted(collection.rglob("*"))
        if path.is_file() and path.read_bytes()[:32].startswith((b"#!/bin/sh", b"#!/usr/bin/env bash", b"#!/bin/bash"))
    ]
    return [
        Suite("ruff check", lambda: tool("ruff", "check", "--no-cache", ".")),
        Suite("ruff format", lambda: tool("ruff", "format", "--no-cache", "--check", "--diff", ".")),
        Suite("mypy", types),
        Suite("yamllint", lambda: tool("yamllint", "--strict", ".")),
        Suite("shellcheck", lambda: tool("shellcheck", *scripts)),
        Suite("reuse", lambda: tool("reuse", "lint", "--lines")),
        Suite("roles", lambda: own("roles.py")),
        Suite("modules", lambda: own("modules.py")),
        # In the checkout itself: the copy has nothing that git does not know, such as a directory that was left over.
        Suite("packages", lambda: own("packages.py", REPOSITORY)),
        Suite("words", lambda: own("words.py")),
        Suite("antsibull-changelog", lambda: tool("antsibull-changelog", "lint")),
        Suite(
            "antsibull-docs",
            lambda: tool(
                "antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "self", "."
            ),
        ),
        Suite("ansible-lint", lambda: tool("ansible-lint", "--offline", "--nocolor", "--strict")),
        Suite("ansible-test sanity, ansible-core newest", lambda: sanity("ansible-newest")),
        Suite("ansible-test sanity, ansible-core 2.19", lambda: sanity("ansible-2.19")),
        Suite("zipped modules, ansible-core newest", lambda: zipped("ansible-newest")),
        Suite("zipped modules, ansible-core 2.19", lambda: zipped("ansible-2.19")),
        Suite("artifact: build, import, install, documentation", artifact),
        Suite("antsibull-nox extra-checks", lambda: nox("extra-checks")),
        Suite("antsibull-nox license-check", lambda: nox("license-check")),
    ]


def units(collection: Path, _targets: t.Sequence[str]) -> list[Suite]:
    """The unit tests, on the oldest and the newest Python that there are."""

    def run(version: str) -> t.Sequence[str]:
        ansible = ENVIRONMENTS["ansible-newest"].build()
        command: Command = [ansible / "bin" / "ansible-test", "units", "--color", "no", "--python", version, "--venv"]
        output = execute([*command, "--requirements"], collection, ansible_test.environment(ansible))
        return [f"    {line.strip(' =')}" for line in output.splitlines() if " passed" in line]

    chosen = ansible_test.oldest_and_newest(_OLDEST_PYTHON)
    return [Suite(f"Python {version}", functools.partial(run, version)) for version in chosen]


def integration_targets(collection: Path) -> list[str]:
    """The names of all targets but those that set something up for others."""
    targets = (collection / "tests" / "integration" / "targets").iterdir()
    return sorted(path.name for path in targets if path.name.startswith(("module_", "playbook_", "role_")))


def integration(collection: Path, targets: t.Sequence[str]) -> list[Suite]:
    """Every module against real servers, and what roles decide by themselves, one suite for each target."""
    all_targets = integration_targets(collection)

    def run(target: str) -> t.Sequence[str]:
        if target not in all_targets:
            raise Failed(f"There is no such target. There are: {', '.join(all_targets)}")
        ansible = ENVIRONMENTS["ansible-newest"].build()
        synapse = ENVIRONMENTS["synapse"].build()
        (collection / "tests" / "integration" / "integration_config.yml").write_text(
            f"---\nsynapse_python: {synapse / 'bin' / 'python'}\npostgresql_bin: {postgresql_bin()}\n"
        )
        version = list(ansible_test.oldest_and_newest(_OLDEST_PYTHON))[-1]
        command: Command = [ansible / "bin" / "ansible-test", "integration", "--color", "no", "--python", version]
        execute([*command, "--venv", "--requirements", target], collection, ansible_test.environment(ansible))
        return ()

    return [Suite(target, functools.partial(run, target)) for target in targets or all_targets]


def contract(collection: Path, _targets: t.Sequence[str]) -> list[Suite]:
    """What modules say after a fault on the way to a real Synapse, and what check mode leaves behind there."""

    def run() -> t.Sequence[str]:
        tools = ENVIRONMENTS["contract"].build()
        environment = {
            "PYTHONPATH": str(collection.parents[2]),
            "CONTRACT_SYNAPSE_PYTHON": str(ENVIRONMENTS["synapse"].build() / "bin" / "python"),
            "CONTRACT_POSTGRESQL_BIN": str(postgresql_bin()),
        }
        command: Command = [tools / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract"]
        # Two workers for each engine: they wait for timeouts most of the time.
        output = execute([*command, "-n", "4", "--dist", "loadgroup"], collection, environment)
        return [
            f"    {line.strip(' =')}" for line in output.splitlines() if " passed" in line or "injections: " in line
        ]

    return [Suite("faults on the way to Synapse, and traces of check mode", run)]


def hosts(collection: Path, targets: t.Sequence[str]) -> list[Suite]:
    """The roles and playbooks on hosts that boot with systemd and are reached by ssh."""

    def run() -> t.Sequence[str]:
        ansible = ENVIRONMENTS["ansible-newest"].build()
        environment = {
            "CACHE": str(cache()),
            "ANSIBLE_PLAYBOOK": str(ansible / "bin" / "ansible-playbook"),
            "ANSIBLE_COLLECTIONS_PATH": str(collection.parents[2]),
        }
        output = execute([collection / "tests" / "hosts" / "run", *targets], collection, environment)
        return [f"    {line}" for line in output.strip().splitlines()]

    return [Suite("roles on booted hosts", run)]


def browser(collection: Path, _targets: t.Sequence[str]) -> list[Suite]:
    """The pages that people read, in a real browser."""

    def run() -> t.Sequence[str]:
        execute([collection / "tests" / "browser" / "run", "run.py"], collection)
        return ()

    return [Suite("the page of an export", run)]


def readme(collection: Path, _targets: t.Sequence[str]) -> list[Suite]:
    """The README's first example, as somebody new follows it."""

    def run() -> t.Sequence[str]:
        with newcomer(collection) as somebody:
            lines = [f"    {somebody.run_demo()}"]
            unopened = _open(somebody.checkout / ".demo" / "export" / "alice")
            somebody.remove_demo()
        if unopened:
            raise CannotRun(f"all else is well, but the export was not opened: {unopened}")
        return lines

    def _open(export: Path) -> CannotRun | None:
        try:
            execute([collection / "tests" / "browser" / "run", "open.py", export, "2", *_SHOWN_IN_DEMO], collection)
        except CannotRun as error:
            return error
        return None

    return [Suite("the first example, twice and away, in a checkout of Git", run)]


GROUPS: dict[str, t.Callable[[Path, t.Sequence[str]], list[Suite]]] = {
    "check": checks,
    "units": units,
    "integration": integration,
    "contract": contract,
    "hosts": hosts,
    "browser": browser,
    "readme": readme,
}


def _path(environment: Path) -> str:
    return f"{environment / 'bin'}:{os.environ['PATH']}"
