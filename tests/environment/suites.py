# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test suites: what each runs, and in which tools."""

from __future__ import annotations

import functools
import json
import os
import typing as t
from pathlib import Path

import ansible_test
import checks
from commands import Command, Failed, execute
from machine import CannotRun, cache, postgresql_bin, proxies, redis_server, require_encryption
from other_collections import other_collections
from readme import newcomer
from suite import Suite
from virtual_environments import ENVIRONMENTS

# What people have said in the room of the demo, as far as the account sees it whose data are exported there.
_SHOWN_IN_DEMO = ("@alice:demo.localhost", "Thank you! Is this a real homeserver?", "It is. I have a picture for you.")
_PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
# In the copy of a suite, what one process has compiled may lie there for the others.
_COMPILED_ONCE = {"PYTHONDONTWRITEBYTECODE": ""}


def units(_targets: t.Sequence[str]) -> list[Suite]:
    """The unit tests: on the oldest Python that there is, and on the newest one as ansible-test runs them."""
    chosen = ansible_test.oldest_and_newest()
    oldest, newest = list(chosen)[0], list(chosen)[-1]
    return [
        Suite(f"ansible-test units, Python {newest}", functools.partial(_forked_units, newest)),
        Suite(f"Python {oldest}", functools.partial(_units, chosen[oldest])),
    ]


def _forked_units(version: str, collection: Path) -> t.Sequence[str]:
    """Run the unit tests as ansible-test does: each in a process of its own."""
    ansible = ENVIRONMENTS["ansible-newest"].build()
    command: Command = [ansible / "bin" / "ansible-test", "units", "--color", "no", "--python", version, "--venv"]
    return _said_by_pytest(execute([*command, "--requirements"], collection, ansible_test.environment(ansible)))


def _units(python: Path, collection: Path) -> t.Sequence[str]:
    """Run the unit tests with that Python. All that they find of Ansible is what a module finds on a managed host."""
    environment = ENVIRONMENTS["units"].build(python)
    ansible = next(ENVIRONMENTS["ansible-newest"].build().glob("lib/python*/site-packages/ansible"))
    found = collection.parents[2] / "found" / "ansible"
    found.mkdir(parents=True)
    (found / "__init__.py").touch()
    (found / "module_utils").symlink_to(ansible / "module_utils")
    path = {"PYTHONPATH": f"{found.parent}:{collection.parents[2]}", **_COMPILED_ONCE}
    # One more than processors, because some wait; whoever has nothing more to do takes what the others have left.
    workers = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal")
    return _said_by_pytest(
        execute([environment / "bin" / "python", *_PYTEST, *workers, "tests/unit"], collection, path)
    )


def _said_by_pytest(output: str) -> list[str]:
    return [f"    {line.strip(' =')}" for line in output.splitlines() if " passed" in line or "injections: " in line]


def quick(_targets: t.Sequence[str]) -> list[Suite]:
    """What to run after each edit: what says within seconds whether it has broken something."""
    version, python = list(ansible_test.oldest_and_newest().items())[-1]
    return [Suite(f"unit tests, Python {version}", functools.partial(_units, python)), *checks.quick()]


def integration_targets(collection: Path) -> list[str]:
    """The names of all targets but those that set something up for others."""
    targets = (collection / "tests" / "integration" / "targets").iterdir()
    return sorted(path.name for path in targets if path.name.startswith(("module_", "playbook_", "role_")))


def integration(targets: t.Sequence[str]) -> list[Suite]:
    """What only Ansible itself shows of each module, and what roles decide by themselves."""

    def run(collection: Path) -> t.Sequence[str]:
        all_targets = integration_targets(collection)
        if unknown := set(targets) - set(all_targets):
            raise Failed(f"There is no {', '.join(sorted(unknown))}. There are: {', '.join(all_targets)}")
        ansible = ENVIRONMENTS["ansible-newest"].build()
        synapse = ENVIRONMENTS["synapse"].build()
        # What has to be there for modules, and nothing else.
        pythons = [ENVIRONMENTS["units"].build(python) for python in ansible_test.oldest_and_newest().values()]
        settings = {
            "synapse_python": str(synapse / "bin" / "python"),
            "postgresql_bin": str(postgresql_bin()),
            "interpreters": [str(python / "bin" / "python") for python in pythons],
        }
        path = collection / "tests" / "integration" / "integration_config.yml"
        path.write_text(json.dumps(settings))
        # The same servers for all targets that have no wishes of their own.
        servers = collection / "tests" / "integration" / "targets" / "setup_synapse" / "files" / "servers.py"
        started: Command = [
            synapse / "bin" / "python",
            servers,
            "during",
            path,
            "sqlite,postgresql",
            "{}",
            postgresql_bin(),
        ]
        version = list(ansible_test.oldest_and_newest())[-1]
        command: Command = [
            *started,
            "nobody",
            ansible / "bin" / "ansible-test",
            "integration",
            "--color",
            "no",
            "--python",
            version,
            "--venv",
            "--requirements",
            "--continue-on-error",
            *(targets or all_targets),
        ]
        execute(command, collection, ansible_test.environment(ansible))
        return ()

    return [Suite("modules and roles as Ansible runs them", run)]


def contract(targets: t.Sequence[str]) -> list[Suite]:
    """Every module against real servers: what it does there, in check mode and again, and what it says after faults.

    `targets`: parts of the names of the tests to run, instead of all.
    """

    def run(collection: Path) -> t.Sequence[str]:
        tools = ENVIRONMENTS["contract"].build()
        require_encryption()
        environment = {
            "PYTHONPATH": str(collection.parents[2]),
            "CONTRACT_SYNAPSE_PYTHON": str(ENVIRONMENTS["synapse"].build() / "bin" / "python"),
            "CONTRACT_POSTGRESQL_BIN": str(postgresql_bin()),
            "CONTRACT_REDIS_SERVER": str(redis_server()),
            "CONTRACT_PROXIES": json.dumps(proxies()),
            **_COMPILED_ONCE,
        }
        # More workers than processors: they wait for timeouts most of the time.
        command: Command = [tools / "bin" / "python", *_PYTEST, "-n", "4", "--dist", "loadgroup", "tests/contract"]
        chosen = ["-k", " or ".join(targets)] if targets else []
        return _said_by_pytest(execute([*command, *chosen], collection, environment))

    return [Suite("what modules do to real servers, and what they say after a fault", run)]


def hosts(targets: t.Sequence[str]) -> list[Suite]:
    """The roles and playbooks on hosts that boot with systemd and are reached by ssh."""

    def run(collection: Path) -> t.Sequence[str]:
        ansible = ENVIRONMENTS["ansible-newest"].build()
        environment = {
            "CACHE": str(cache()),
            "ANSIBLE_PLAYBOOK": str(ansible / "bin" / "ansible-playbook"),
            "ANSIBLE_COLLECTIONS_PATH": f"{collection.parents[2]}:{other_collections()}",
        }
        output = execute([collection / "tests" / "hosts" / "run", *targets], collection, environment)
        return [f"    {line}" for line in output.strip().splitlines()]

    return [Suite("roles on booted hosts", run)]


def browser(_targets: t.Sequence[str]) -> list[Suite]:
    """The pages that people read, in a real browser."""

    def run(collection: Path) -> t.Sequence[str]:
        execute([collection / "tests" / "browser" / "run", "run.py"], collection)
        return ()

    return [Suite("the page of an export", run)]


def readme(_targets: t.Sequence[str]) -> list[Suite]:
    """The README's first example, as somebody new follows it."""

    def run(collection: Path) -> t.Sequence[str]:
        with newcomer(collection) as somebody:
            lines = [f"    {somebody.run_demo()}"]
            unopened = _open(collection, somebody.checkout / ".demo" / "export" / "alice")
            somebody.remove_demo()
        if unopened:
            raise CannotRun(f"all else is well, but the export was not opened: {unopened}")
        return lines

    def _open(collection: Path, export: Path) -> CannotRun | None:
        try:
            execute([collection / "tests" / "browser" / "run", "open.py", export, "2", *_SHOWN_IN_DEMO], collection)
        except CannotRun as error:
            return error
        return None

    return [Suite("the first example, twice and away, in a checkout of Git", run)]


# In this order they begin: what takes longest first, and what has one processor to itself beside what wants both.
GROUPS: dict[str, t.Callable[[t.Sequence[str]], list[Suite]]] = {
    "hosts": hosts,
    "contract": contract,
    "integration": integration,
    "readme": readme,
    "check": checks.checks,
    "units": units,
    "browser": browser,
    "quick": quick,
}
# What a run without a choice leaves out: it is a part of the others.
IN_OTHERS = frozenset({"quick"})
