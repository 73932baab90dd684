# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import types
import typing as t

import pytest

# Where only what a module finds on a managed host is there, nothing of the controller can run.
pytest.importorskip("ansible.plugins.action.normal")

from ansible.plugins.action.normal import ActionModule as NormalAction

from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import VARIABLE
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils import _progress_action
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils._progress_action import ProgressAction


class Connection:
    """As much of a connection as is asked for before a second one is made."""

    force_persistence = supports_persistence = False

    def __init__(self, transport: str, options: dict[str, str] | None = None) -> None:
        self.transport = transport
        self._options = options or {}

    def get_option(self, name: str) -> str:
        return self._options[name]


def action(
    connection: Connection, args: dict[str, t.Any] | None = None, async_val: int = 0, environment: t.Any = None
) -> t.Any:
    made: t.Any = object.__new__(ProgressAction)
    made._connection = connection
    made._task = types.SimpleNamespace(
        args=args or {}, async_val=async_val, environment=environment, action="a.b.synapse_export", delegate_to=None
    )
    return made


SSH = Connection("ssh", {"ssh_args": "-C -o ControlMaster=auto -o ControlPersist=60s"})


@pytest.mark.parametrize(
    ("connection", "args", "watched", "async_val", "wanted"),
    [
        (SSH, {}, True, 0, True),
        (SSH, {"progress": "auto"}, False, 0, False),
        (SSH, {"progress": "never"}, True, 0, False),
        (SSH, {"progress": "always"}, False, 0, True),
        (SSH, {"progress": "always"}, True, 60, False),
        (SSH, {"progress": "perhaps"}, True, 0, False),
        (Connection("ssh", {"ssh_args": "-C"}), {}, True, 0, False),
        (Connection("ansible.builtin.ssh", {"ssh_args": "-C"}), {}, True, 0, False),
        (Connection("ssh", {"ssh_args": "-C"}), {"progress": "always"}, True, 0, True),
        (Connection("ssh", {"ssh_extra_args": "-o controlmaster=auto -o controlpersist=yes"}), {}, True, 0, True),
        (Connection("ssh", {"ssh_args": "-o ControlMaster=no -o ControlPersist=no"}), {}, True, 0, False),
        (Connection("local"), {}, True, 0, True),
    ],
)
def test_progress_is_shown_where_it_is_wanted(
    connection: Connection,
    args: dict[str, t.Any],
    watched: bool,
    async_val: int,
    wanted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_progress_action, "is_watched", lambda: watched)
    monkeypatch.setattr(_progress_action, "STANDARD_ERROR", 2)
    assert action(connection, args, async_val)._is_wanted() is wanted


def test_without_a_standard_error_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress_action, "STANDARD_ERROR", None)
    assert not action(Connection("local"), {"progress": "always"})._is_wanted()


class NoWatch:
    """Instead of a watch: the context that the module runs in."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_error: object) -> None:
        pass


@pytest.mark.parametrize("environment", [None, [], [{"OTHER": "kept"}], {"OTHER": "kept"}])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt()])
def test_the_module_gets_the_word_and_the_task_keeps_its_environment(
    environment: t.Any, error: BaseException | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[t.Any] = []

    def run(self: t.Any, tmp: t.Any = None, task_vars: t.Any = None) -> dict[str, bool]:
        seen.append(self._task.environment)
        if error is not None:
            raise error
        return {"changed": False}

    monkeypatch.setattr(NormalAction, "run", run)
    monkeypatch.setattr(_progress_action, "STANDARD_ERROR", 2)
    words: list[str] = []

    def watch(_self: t.Any, word: str, _variables: t.Any) -> NoWatch:
        words.append(word)
        return NoWatch()

    monkeypatch.setattr(ProgressAction, "_watch", watch)
    made = action(Connection("local"), {"progress": "always"}, environment=environment)
    if error is None:
        assert made.run(task_vars={}) == {"changed": False}
    else:
        with pytest.raises(KeyboardInterrupt):
            made.run(task_vars={})
    own = environment if isinstance(environment, list) else [environment]
    assert seen == [[*own, {VARIABLE: words[0]}]]
    assert made._task.environment is environment


class Persistent(Connection):
    force_persistence = True


@pytest.mark.parametrize("connection", [Persistent("network_cli"), Connection("without what is needed")])
def test_without_a_second_connection_the_module_runs_as_usual(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[t.Any] = []

    def run(self: t.Any, tmp: t.Any = None, task_vars: t.Any = None) -> dict[str, bool]:
        seen.append(self._task.environment)
        return {"changed": False}

    monkeypatch.setattr(NormalAction, "run", run)
    monkeypatch.setattr(_progress_action, "STANDARD_ERROR", 2)
    made = action(connection, {"progress": "always"}, environment=[])
    assert made.run(task_vars={"inventory_hostname": "host1"}) == {"changed": False}
    assert seen == [[]]
