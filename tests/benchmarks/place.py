# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers to measure on, and Ansible as people run it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
import typing as t
import xml.etree.ElementTree
from pathlib import Path

from commands import execute
from machine import REPOSITORY, postgresql_bin
from stage import staged
from virtual_environments import ENVIRONMENTS

_SERVERS = REPOSITORY / "tests" / "integration" / "targets" / "setup_synapse" / "files" / "servers.py"
# The interpreter that Ansible is told to use: it starts the real one, and keeps what the kernel counted of it.
_COUNTING_INTERPRETER = """#!{python}
import resource, subprocess, sys
status = subprocess.run([{python!r}, *sys.argv[1:]]).returncode
with open({counts!r}, "a") as file:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=file)
sys.exit(status)
"""


@dataclasses.dataclass(frozen=True)
class Played:
    """A task that Ansible has run: how long it took (s), the most memory that its process had (bytes), its output."""

    seconds: float
    memory: int
    output: str


class Bench:
    """A place to measure in: a staged copy of the collection, Ansible, and a Python with Synapse and requests."""

    def __init__(self, collection: Path, directory: Path) -> None:
        self.python = ENVIRONMENTS["synapse"].build() / "bin" / "python"
        self._ansible = ENVIRONMENTS["ansible-newest"].build()
        self._collection = collection
        self._directory = directory

    @contextlib.contextmanager
    def servers(
        self, engines: t.Sequence[str], settings: t.Mapping[str, t.Any] | None = None
    ) -> t.Iterator[list[dict[str, t.Any]]]:
        """Give running servers, one for each engine, as the integration tests describe them."""
        owner = {"SETUP_SYNAPSE_OWNER": str(os.getpid())}
        command: list[str | Path] = [
            self.python,
            _SERVERS,
            "start",
            ",".join(engines),
            json.dumps(settings or {}),
            postgresql_bin(),
        ]
        printed = execute([*command, "nobody"], self._directory, owner, lasting=True)
        started = json.loads(printed.splitlines()[-1])
        try:
            yield started["servers"]
        finally:
            execute([self.python, _SERVERS, "stop", started["directory"]], self._directory)

    def write(self, name: str, content: t.Any) -> Path:
        """Write a file, as it is or else as JSON, readable by this user only, and return its path."""
        path = self._directory / name
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def make_directory(self, name: str) -> Path:
        """Make an empty directory, for this user only, and return its path."""
        path = self._directory / name
        path.mkdir(mode=0o700)
        return path

    def run(self, script: str, *arguments: str | Path) -> t.Any:
        """Run one of the alternatives, a script of this directory, and return what it prints as JSON."""
        path = Path(__file__).resolve().parent / "alternatives" / script
        return json.loads(execute([self.python, path, *arguments], self._directory))

    def ping(self) -> float:
        """Return the seconds of the least that a module can do."""
        return self.play({"ansible.builtin.ping": {}}).seconds

    def play(self, task: dict[str, t.Any], variables: Path | None = None) -> Played:
        """Run one task with ansible-playbook and return what it took: the task alone, without Ansible's own start.

        `variables`: a file of variables for it. Raises Failed if the task does.
        """
        reports, counts = self._directory / "reports", self._directory / "counts"
        interpreter = self._directory / "python"
        python = str(self.python)
        interpreter.write_text(_COUNTING_INTERPRETER.format(python=python, counts=str(counts)))
        interpreter.chmod(0o700)
        for old in [counts, *reports.glob("*.xml")]:
            old.unlink(missing_ok=True)
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": str(interpreter)},
            "tasks": [task],
        }
        playbook = self.write("play.yml", [{**play, **({"vars_files": [str(variables)]} if variables else {})}])
        environment = {
            "ANSIBLE_COLLECTIONS_PATH": str(self._collection.parents[2]),
            "ANSIBLE_HOME": str(self._directory / "ansible"),
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.junit",
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
            "ANSIBLE_NOCOLOR": "True",
            "JUNIT_OUTPUT_DIR": str(reports),
        }
        output = execute([self._ansible / "bin" / "ansible-playbook", playbook], self._directory, environment)
        [report] = reports.glob("*.xml")
        seconds = sum(float(case.get("time", "0")) for case in xml.etree.ElementTree.parse(report).iter("testcase"))
        memory = max(int(line) for line in counts.read_text().split()) * 1024
        return Played(seconds, memory, output)


@contextlib.contextmanager
def bench() -> t.Iterator[Bench]:
    """Give a place to measure in, and remove it afterwards. Raises CannotRun or InstallationFailed."""
    with staged() as collection, tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_bench_") as directory:
        yield Bench(collection, Path(directory))
