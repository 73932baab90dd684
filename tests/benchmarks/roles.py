# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks site and tune on booted hosts that are as they must be, against an earlier state of the collection.

The earlier state is the commit before the roles asked a host once for all that they need to know, or the commit in the
environment variable MATRIX_OPS_BASELINE. It is taken from the checkout of Git.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from commands import Command, Failed, execute
from machine import REPOSITORY, CannotRun, cache, locked
from measurement import Figure, Measurement, figure
from stage import staged
from virtual_environments import ENVIRONMENTS

_BASELINE = "f0d751a"
_ROUNDS = 3
_MOST_TASKS = {"site": 60, "tune": 30}
# Of the time that it took before: tune need not get faster, but must not get slower.
_MOST_TIME = {"site": 0.4, "tune": 1.0}
_FIRST, *_OTHERS = "bench-site-1", "bench-site-2", "bench-site-3"
# After its first run a playbook may have something left to do, for example after a restart, but not for ever.
_MOST_RUNS = 3
_RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=0 +failed=0 +skipped=(\d+) ", re.MULTILINE)
_SETTINGS = {
    "synapse_homeserver_version": "1.162.0",
    "synapse_homeserver_database": "sqlite",
    "synapse_cache_factor_global": 1.5,
}

_Variables = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class _Run:
    """A run of a playbook: its seconds, how many tasks were run or skipped, and how many have changed something."""

    seconds: float
    tasks: int
    changed: int
    output: str


class _State:
    """One state of the collection, as a user runs it: `tree` has it in ansible_collections/matrix_ops/synapse."""

    def __init__(self, tree: Path, configuration: Path, directory: Path) -> None:
        self._directory = directory
        self._ansible = ENVIRONMENTS["ansible-newest"].build()
        self._environment = {
            "ANSIBLE_COLLECTIONS_PATH": str(tree),
            "ANSIBLE_CONFIG": str(configuration),
            "ANSIBLE_HOME": str(directory / "ansible"),
            # A user does not compile the plugins of a collection again with each run.
            "PYTHONDONTWRITEBYTECODE": "",
        }

    def play(self, playbook: str, inventory: Path) -> _Run:
        """Run a playbook of the collection. Raises Failed if it fails on one of the hosts."""
        name = f"matrix_ops.synapse.{playbook}"
        command: Command = [self._ansible / "bin" / "ansible-playbook", "--inventory", inventory, name]
        started = time.monotonic()
        output = execute(command, self._directory, self._environment)
        seconds = time.monotonic() - started
        recap = {host: [int(number) for number in numbers] for host, *numbers in _RECAP.findall(output)}
        if missing := _hosts_in(inventory).keys() - recap.keys():
            raise Failed(f"{name} did not run on {', '.join(sorted(missing))}.\n{output}")
        done, changed, skipped = (sum(column) for column in zip(*recap.values(), strict=True))
        return _Run(seconds, done + skipped, changed, output)

    def play_unchanged(self, playbook: str, inventory: Path) -> _Run:
        """Run a playbook with nothing to change. Raises Failed if it changes something all the same."""
        run = self.play(playbook, inventory)
        if run.changed:
            raise Failed(f"{playbook} has changed something although nothing was to be changed.\n{run.output}")
        return run

    def settle(self, playbook: str, inventory: Path) -> None:
        """Run a playbook until it has nothing to change. Raises Failed if that does not come about."""
        for _run in range(_MOST_RUNS):
            run = self.play(playbook, inventory)
            if not run.changed:
                return
        raise Failed(f"{playbook} still changes something in its run {_MOST_RUNS}.\n{run.output}")


def measure() -> t.Iterator[Measurement]:
    """Yield the measurements of this group. They need root, because the hosts boot with systemd.

    Raises CannotRun, InstallationFailed, or Failed.
    """
    baseline = os.environ.get("MATRIX_OPS_BASELINE") or _BASELINE
    with contextlib.ExitStack() as stack:
        # Every run of this group has the same names for its hosts.
        stack.enter_context(locked("bench-site"))
        collection = stack.enter_context(staged())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_bench_")))
        configuration = collection / "tests" / "hosts" / "ansible.cfg"
        before = _State(_unpacked(baseline, directory), configuration, directory)
        now = _State(collection.parents[2], configuration, directory)
        first = stack.enter_context(_booted(collection, [_FIRST]))
        one = _write_inventory(directory / "one.json", first)
        for playbook in _MOST_TASKS:
            yield from _against_baseline(playbook, one, before, now, baseline)
        others = stack.enter_context(_booted(collection, _OTHERS))
        three = _write_inventory(directory / "three.json", {**first, **others})
        yield _on_three(now, one, three)


def _against_baseline(
    playbook: str, inventory: Path, before: _State, now: _State, baseline: str
) -> t.Iterator[Measurement]:
    theirs, ours = _rounds(playbook, inventory, before, now)
    name = f"{playbook}, nothing to change"
    # No round may take more.
    most, most_before = (max(run.tasks for run in runs) for runs in (ours, theirs))
    limit = Figure((_MOST_TASKS[playbook],))
    yield Measurement(f"{name}: tasks ({baseline}: {most_before})", Figure((most,)), limit, "<=", 1, "tasks")
    seconds, seconds_before = (figure(run.seconds for run in runs) for runs in (ours, theirs))
    yield Measurement(f"{name}: time, against {baseline}", seconds, seconds_before, "<=", _MOST_TIME[playbook])


def _rounds(playbook: str, inventory: Path, before: _State, now: _State) -> tuple[list[_Run], list[_Run]]:
    """Return the rounds of both states: by turns, unless each changes what the other one has made."""
    # In this order, also when Synapse is not installed yet: users have servers that are as they were made before.
    before.settle(playbook, inventory)
    now.settle(playbook, inventory)
    if before.play(playbook, inventory).changed:
        before.settle(playbook, inventory)
        theirs = [before.play_unchanged(playbook, inventory) for _round in range(_ROUNDS)]
        now.settle(playbook, inventory)
        return theirs, [now.play_unchanged(playbook, inventory) for _round in range(_ROUNDS)]
    pairs = [
        (before.play_unchanged(playbook, inventory), now.play_unchanged(playbook, inventory))
        for _round in range(_ROUNDS)
    ]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _on_three(now: _State, one: Path, three: Path) -> Measurement:
    """Return what three hosts at once take, against one; Synapse is installed where it is not yet.

    They share the processors of this machine with each other and with Ansible.
    """
    now.settle("site", three)
    rounds = [
        (now.play_unchanged("site", three).seconds, now.play_unchanged("site", one).seconds)
        for _round in range(_ROUNDS)
    ]
    on_three, on_one = (figure(column) for column in zip(*rounds, strict=True))
    return Measurement("site, nothing to change: time on three hosts, against one", on_three, on_one, "<=", 1.3)


def _unpacked(baseline: str, directory: Path) -> Path:
    """Unpack that commit of the collection, and return the directory for ANSIBLE_COLLECTIONS_PATH. Raises CannotRun."""
    tree, archive = directory / "baseline", directory / "baseline.tar"
    collection = tree / "ansible_collections" / "matrix_ops" / "synapse"
    collection.mkdir(parents=True)
    if not shutil.which("git"):
        raise CannotRun(f"Git is missing, from which the commit {baseline} of the collection is taken")
    try:
        execute(["git", "-C", REPOSITORY, "archive", "--format=tar", f"--output={archive}", baseline], directory)
    except Failed as failed:
        _command, said, *_further = failed.output.splitlines()
        reason = f"the commit {baseline}, to compare with, cannot be taken from {REPOSITORY} ({said})"
        raise CannotRun(f"{reason}. Set MATRIX_OPS_BASELINE to one that is there") from None
    execute(["tar", "--extract", f"--file={archive}", f"--directory={collection}"], directory)
    archive.unlink()
    return tree


@contextlib.contextmanager
def _booted(collection: Path, names: t.Sequence[str]) -> t.Iterator[dict[str, _Variables]]:
    """Give hosts with their variables in Ansible's inventory, and remove them then. Raises CannotRun or Failed."""

    def control(command: str, name: str) -> str:
        words: Command = [sys.executable, collection / "tests" / "hosts" / "host.py", command, name]
        return execute(words, collection, {"CACHE": str(cache())}, lasting=True)

    with contextlib.ExitStack() as stack:
        started: dict[str, _Variables] = {}
        for name in names:
            # Before it is started: a start that fails or is interrupted leaves something behind too.
            stack.callback(control, "stop", name)
            started |= _hosts_in(Path(control("start", name).splitlines()[-1]))
        yield started


def _write_inventory(path: Path, hosts: t.Mapping[str, _Variables]) -> Path:
    """Write an inventory of hosts, with a Synapse on each that has ports of its own, and return its path."""
    # They share the network of this machine, and none knows which ports were promised to the others.
    taken = {variables["ansible_port"] for variables in hosts.values()}
    described: dict[str, _Variables] = {}
    for name, variables in hosts.items():
        port, metrics_port = [port for port in dict.fromkeys(variables["free_ports"]) if port not in taken][:2]
        taken |= {port, metrics_port}
        described[name] = {
            **variables,
            "synapse_homeserver_server_name": f"{name}.example",
            "synapse_homeserver_port": port,
            "synapse_homeserver_metrics_port": metrics_port,
        }
    path.write_text(json.dumps({"all": {"children": {"synapse": {"hosts": described, "vars": _SETTINGS}}}}, indent=2))
    return path


def _hosts_in(inventory: Path) -> dict[str, _Variables]:
    """Read the hosts of an inventory with their variables."""
    hosts: dict[str, _Variables] = json.loads(inventory.read_text())["all"]["children"]["synapse"]["hosts"]
    return hosts
