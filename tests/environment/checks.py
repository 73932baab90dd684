# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What examines the files: linters, sanity tests, documentation, zipped modules, the built artifact."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import ansible_test
from commands import Command, execute
from machine import REPOSITORY, cache, locked
from other_collections import other_collections
from stage import staged
from suite import Suite
from virtual_environments import ENVIRONMENTS

# On an older ansible-core only what asks that core: how it imports modules, what it says of their documentation and
# of the files that it reads. Style, spelling and shell are the same for all.
_SAME_ON_EVERY_CORE = ("pep8", "pylint", "shebang", "shellcheck", "symlinks", "yamllint")
_SHELLS = (b"#!/bin/sh", b"#!/usr/bin/env bash", b"#!/bin/bash")


class Checker:
    """Runs tools on one copy of the collection."""

    def __init__(self, collection: Path) -> None:
        self._collection = collection
        self._tree = collection.parents[2]

    def tool(self, name: str, *arguments: str | Path, directory: Path | None = None, **variables: str) -> list[str]:
        """Run one of the linters."""
        linters = ENVIRONMENTS["linters"].build()
        path = f"{linters / 'bin'}:{os.environ['PATH']}"
        collections = f"{self._tree}:{other_collections()}"
        found = {"ANSIBLE_COLLECTIONS_PATH": collections, "PATH": path, **variables}
        execute([linters / "bin" / name, *arguments], directory or self._collection, found)
        return []

    def own(self, script: str, looked_at: Path | None = None) -> list[str]:
        """Run one of the project's own checks."""
        collection = self._collection
        return self.tool("python", collection / "tests" / "checks" / script, looked_at or collection)

    def types(self) -> list[str]:
        """Check the types, with what is known of files that have not changed since the last time."""
        collection, place = self._collection, Path("ansible_collections", "matrix_ops", "synapse")

        def mypy(kept: str, *arguments: str | Path, directory: Path, path: t.Sequence[Path] = ()) -> None:
            settings = ("--config-file", collection / "mypy.ini", "--cache-dir", cache() / "mypy" / kept)
            with locked(f"mypy-{kept}"):
                self.tool("mypy", *settings, *arguments, directory=directory, MYPYPATH=":".join(map(str, path)))

        mypy("collection", place / "plugins", place / "tests/unit", directory=self._tree)
        # What runs on a developer's machine only may use what a newer Python has.
        newer = ("--python-version", "3.11")
        mypy("contract", *newer, place / "tests/contract", directory=self._tree)
        environment = collection / "tests/environment"
        for name in ("checks", "environment"):
            mypy(name, *newer, ".", directory=collection / "tests" / name)
        # Benchmarks use what starts the tests and their servers, and the collection itself.
        used = [self._tree, environment, collection / "tests/integration/targets/setup_synapse/files"]
        mypy("benchmarks", *newer, ".", directory=collection / "tests/benchmarks", path=used)
        return []

    def scripts(self) -> list[str]:
        """Check every script of a shell."""
        files = (path for path in sorted(self._collection.rglob("*")) if path.is_file())
        return self.tool("shellcheck", *(path for path in files if path.read_bytes()[:32].startswith(_SHELLS)))

    def sanity(self, name: str, *left_out: str) -> list[str]:
        """Run the sanity tests of a version of ansible-core, without those `left_out`."""
        ansible = ENVIRONMENTS[name].build()
        command: Command = [ansible / "bin" / "ansible-test", "sanity", "--color", "no", "--truncate", "0"]
        # The virtual environments of the sanity tests are shared by all runs of this user.
        with locked("sanity", ansible_test.HOME):
            execute(
                [*command, *(word for test in left_out for word in ("--skip-test", test))],
                self._collection,
                ansible_test.environment(ansible),
            )
        return []

    def zipped(self, name: str) -> list[str]:
        """See that each module works as Ansible packs it for a host."""
        ansible = ENVIRONMENTS[name].build()
        check = [ansible / "bin" / "python", self._collection / "tests" / "checks" / "zipped.py", self._collection]
        execute([*check, *ansible_test.oldest_and_newest().values()], self._collection)
        return []

    def artifact(self) -> list[str]:
        """Build what is published, import it as Galaxy does, install it, and read its documentation."""
        ansible = ENVIRONMENTS["ansible-newest"].build()
        importer = ENVIRONMENTS["galaxy-importer"].build()
        command: Command = [
            ansible / "bin" / "python",
            self._collection / "tests" / "checks" / "artifact.py",
            self._collection,
            importer / "bin",
        ]
        found = {"ANSIBLE_COLLECTIONS_PATH": str(other_collections()), "PATH": _path(ansible)}
        execute(command, self._collection, found)
        return []

    def nox(self, session: str) -> list[str]:
        """Run a session of antsibull-nox."""
        nox_environment = ENVIRONMENTS["antsibull-nox"].build()
        command: Command = [nox_environment / "bin" / "nox", "--no-venv", "--sessions", session]
        # It looks at every file that is there, so those that the other suites leave behind must not be.
        with staged() as copy:
            execute(command, copy, {"PATH": _path(nox_environment)})
        return []


def quick() -> list[Suite]:
    """What says within seconds whether an edit has broken something."""
    return [
        Suite("mypy", lambda copy: Checker(copy).types()),
        Suite("ruff format", lambda copy: Checker(copy).tool("ruff", "format", "--no-cache", "--check", "--diff", ".")),
        Suite("ruff check", lambda copy: Checker(copy).tool("ruff", "check", "--no-cache", ".")),
        Suite("yamllint", lambda copy: Checker(copy).tool("yamllint", "--strict", ".")),
        Suite("roles", lambda copy: Checker(copy).own("roles.py")),
        Suite("modules", lambda copy: Checker(copy).own("modules.py")),
        Suite("documentation", lambda copy: Checker(copy).own("documentation.py")),
        # In the checkout itself: the copy has nothing that git does not know, such as a directory that was left over.
        Suite("packages", lambda copy: Checker(copy).own("packages.py", REPOSITORY)),
        Suite("words", lambda copy: Checker(copy).own("words.py")),
    ]


def checks(_targets: t.Sequence[str]) -> list[Suite]:
    """What is quick, and all else that examines the files."""
    documentation = ("lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "self", ".")
    return [
        Suite("ansible-test sanity, ansible-core newest", lambda copy: Checker(copy).sanity("ansible-newest")),
        Suite("ansible-lint", lambda copy: Checker(copy).tool("ansible-lint", "--offline", "--nocolor", "--strict")),
        Suite(
            "ansible-test sanity, ansible-core 2.19",
            lambda copy: Checker(copy).sanity("ansible-2.19", *_SAME_ON_EVERY_CORE),
        ),
        Suite("artifact: build, import, install, documentation", lambda copy: Checker(copy).artifact()),
        *quick(),
        Suite("zipped modules, ansible-core newest", lambda copy: Checker(copy).zipped("ansible-newest")),
        Suite("zipped modules, ansible-core 2.19", lambda copy: Checker(copy).zipped("ansible-2.19")),
        Suite("antsibull-docs", lambda copy: Checker(copy).tool("antsibull-docs", *documentation)),
        Suite("antsibull-nox extra-checks", lambda copy: Checker(copy).nox("extra-checks")),
        Suite("antsibull-nox license-check", lambda copy: Checker(copy).nox("license-check")),
        Suite("shellcheck", lambda copy: Checker(copy).scripts()),
        Suite("reuse", lambda copy: Checker(copy).tool("reuse", "lint", "--lines")),
        Suite("antsibull-changelog", lambda copy: Checker(copy).tool("antsibull-changelog", "lint")),
    ]


def _path(environment: Path) -> str:
    return f"{environment / 'bin'}:{os.environ['PATH']}"
