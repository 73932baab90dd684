# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Runs a module as Ansible itself does, and shows meanwhile how far it is.

The module is run by Ansible's own plugin for modules, so that nothing of it differs: become, check mode, async, loops,
delegation, the result, and what is left if it is interrupted. A process beside it reads a record of the module through
a second connection. Async with polling would be simpler, but it is refused in check mode by many modules, leaves a job
that continues after an interrupt, writes the result of the module into a file, and does not work with pipelining.
"""

from __future__ import annotations

import copy
import os
import typing as t
import uuid

from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.plugins.loader import become_loader, connection_loader

from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import VARIABLE
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils._progress_display import (
    STANDARD_ERROR,
    display_nothing,
    is_watched,
    write_line,
)
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils._progress_line import ProgressLine
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils._progress_reader import ProgressReader
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils._progress_watch import Watch
from ansible_collections.matrix_ops.synapse.plugins.plugin_utils._ssh_login import shares_login

_SSH_ARGUMENTS = ("ssh_args", "ssh_common_args", "ssh_extra_args")


class ProgressAction(NormalAction):
    """Runs the module of the same name, and shows its progress as its option `progress` says."""

    def run(self, tmp: t.Any = None, task_vars: t.Any = None) -> t.Any:
        """Return the result of the module."""
        # Ansible has no types.
        run: t.Any = super().run
        word = uuid.uuid4().hex
        watch = self._watch(word, task_vars or {}) if self._is_wanted() else None
        if watch is None:
            return run(tmp, task_vars)
        before = self._task.environment
        own = before if isinstance(before, list) else [before]
        self._task.environment = [*own, {VARIABLE: word}]
        try:
            with watch:
                return run(tmp, task_vars)
        finally:
            self._task.environment = before

    def _is_wanted(self) -> bool:
        # The module itself refuses any other value.
        choice = self._task.args.get("progress", "auto")
        # A job of async continues after this task.
        if self._task.async_val or STANDARD_ERROR is None or choice not in ("auto", "always"):
            return False
        if choice == "auto":
            return is_watched() and self._needs_no_login()
        return True

    def _needs_no_login(self) -> bool:
        """Whether a second connection needs no second login, which may ask a person for a key or a code."""
        if str(self._connection.transport).rpartition(".")[2] != "ssh":
            return True
        option: t.Any = self.get_connection_option
        return shares_login(" ".join(str(option(name, "")) for name in _SSH_ARGUMENTS))

    def _watch(self, word: str, task_vars: t.Mapping[str, t.Any]) -> Watch | None:
        try:
            beside = self._beside()
        except Exception:
            # Whatever a connection plugin does not have: the module runs without progress.
            return None
        if beside is None:
            return None
        host = str(task_vars.get("inventory_hostname", ""))
        if self._task.delegate_to:
            host = f"{host} -> {self._task.delegate_to}"
        line = ProgressLine(f"{self._task.action.rpartition('.')[2]} on {host}")
        reader = ProgressReader(word, lambda command: str(beside._low_level_execute_command(command)["stdout"]))
        # Standard error, so that the output of a callback such as json stays whole. Not in the log file of Ansible.
        return Watch(display_nothing, reader.read, lambda record: write_line(line.text(record)))

    def _beside(self) -> t.Any:
        """Return a copy of this plugin with its own connection, to the same host as the same user, or None."""
        first = self._connection
        if first.force_persistence or first.supports_persistence:
            # They go through a process that does one thing at a time.
            return None
        second = connection_loader.get(
            first.ansible_name,
            copy.copy(first._play_context),
            new_stdin=None,
            task_uuid=self._task._uuid,
            ansible_playbook_pid=str(os.getppid()),
        )
        second.set_options(direct=first.get_options())
        second._shell.set_options(direct=first._shell.get_options())
        if first.become is not None:
            become = become_loader.get(first.become.ansible_name)
            become.set_options(direct=first.become.get_options())
            second.set_become_plugin(become)
        beside = copy.copy(self)
        beside._connection = second
        return beside
