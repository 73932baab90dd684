# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Drop-ins: a file with our own settings, in addition to the other files of Synapse's configuration."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes, require_allowed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin_acceptance import (
    Acceptance,
    Change,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin_declared import DeclaredDropin
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin_file import (
    DropinFile,
    header,
    read_dropin,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.dropin_surroundings import (
    Surroundings,
    read_surroundings,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser import Parser
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.reader import (
    Reader,
    proven_reader,
    reader_named,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import (
    KeyPath,
    Settings,
    changed_paths,
    dotted,
    masked,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    InvalidInput,
    StateNotReached,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import (
    read_attributes,
    remove_file,
    replace_file,
    require_writable,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan, Step

# The settings that Synapse 1.163 applies at a reload (reload_cache_config in synapse/app/_base.py), in addition to
# certificates and logging.
_RELOADED = {("caches", "global_factor"), ("caches", "per_cache_factors")}


class DropinResource:
    """One drop-in with its declared content, as a resource of the runner (see _plan.Resource)."""

    def __init__(
        self,
        config_path: t.Sequence[str],
        declared: DeclaredDropin,
        running_users: t.Callable[[], t.Iterable[str]] = tuple,
        parser: Parser | None = None,
        *,
        always: bool = False,
    ) -> None:
        """`config_path`: the files and directories that Synapse is started with. Does not read anything yet.

        `running_users` returns the users of the processes that seem to be Synapse with this configuration. `parser`
        must accept a change of the configuration; None if it is not asked. `always`: an unchanged one is judged too.
        """
        self._parser = parser
        self._always = always
        self._config_path = list(config_path)
        self._declared = declared
        self._running_users = running_users
        self._reader: Reader | None = None
        self._trusted: frozenset[int] = frozenset()
        self._before: Settings = {}
        self._after: Settings = {}
        self._secret: set[KeyPath] = set()
        self._wanted: DropinFile | None = None
        self._warnings: list[str] = []

    def plan(self) -> Plan:
        """Read the configuration and decide. Raises InvalidInput or ConfigurationError."""
        declared = self._declared
        declared.check()
        if self._parser:
            self._parser.require_absolute_directory()
        if not declared.present and not os.path.lexists(declared.path):
            return Plan(None, None)
        around = read_surroundings(self._config_path, declared.path)
        self._reader = self._find_reader(around)
        self._trusted = self._find_trusted()
        current = read_dropin(declared.path, trusted=self._trusted)
        content = declared.content(around.earlier.settings) if declared.present else {}
        self._guard(current, content, around)
        self._wanted = self._file(current, content)
        own = current.settings if current else {}
        self._before, self._after = (around.effective(says, {*own, *content}) for says in (own, content))
        self._secret = declared.secret | (current.secret if current else set())
        new = self._changed | changed_paths(own, content)
        steps = self._steps(current, self._wanted)
        change = Change(
            declared.path,
            around,
            current.settings if current else None,
            self._wanted.settings if self._wanted else None,
            self._wanted.text() if self._wanted else "",
            declared.own,
            changes=bool(steps),
            failed=self._failed(),
            secret_paths=self._secret,
        )
        self._judge(change)
        return Plan(
            {"file": self._shown(current), "in_force": masked(self._before, self._secret)},
            {"file": self._shown(self._wanted, new), "in_force": masked(self._after, self._secret, new)},
            tuple(dataclasses.replace(step, run=self._guarded(change, step.run)) for step in steps),
            proof=self._parser.require_installed if self._parser and self._always else None,
        )

    def verify(self, plan: Plan) -> None:
        """Read the configuration again. Raises StateNotReached if not everything is as declared."""
        around = read_surroundings(self._config_path, self._declared.path)
        current = read_dropin(self._declared.path, trusted=self._trusted)
        now = around.effective(current.settings if current else {}, {*self._before, *self._after})
        wrong = dotted(changed_paths(now, self._after))
        if (current and current.attributes) != (self._wanted and self._wanted.attributes):
            wrong.append("the mode, owner or group" if self._wanted else "the absence of the file")
        if wrong:
            raise StateNotReached(
                f"{', '.join(wrong)} is not as declared, although {self._declared.path} was changed without an error."
                " Another process may change the configuration at the same time: run the task again."
            )

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return the path, the settings in force of the keys of the file (secrets hidden), which of them change, and
        whether a running Synapse needs a restart or a reload to apply the change: one of them, or neither. Also the
        warnings.
        """
        can_reload = self._can_reload(plan)
        return {
            "config": {"path": self._declared.path, "settings": masked(self._after, self._secret)},
            "changed_keys": dotted(self._changed),
            "restart_required": bool(self._changed) and not can_reload,
            "reload_required": bool(self._changed) and can_reload,
            "warnings": self._warnings,
        }

    @property
    def _changed(self) -> set[KeyPath]:
        return changed_paths(self._before, self._after)

    def _can_reload(self, plan: Plan) -> bool:
        """Return whether a reload applies the settings that change."""
        # At a reload Synapse reads the files again that it found when it was started (synapse/config/_base.py,
        # reload_config_section): it does not see a new file, and fails if one of them is missing.
        stays = all(state is not None and state["file"] is not None for state in (plan.before, plan.after))
        return stays and all(path[:2] in _RELOADED for path in self._changed)

    def _find_reader(self, around: Surroundings) -> Reader | None:
        if self._declared.synapse_user is not None:
            return reader_named(self._declared.synapse_user)
        return proven_reader(self._running_users(), Configuration(around.earlier.files + around.later.files))

    def _find_trusted(self) -> frozenset[int]:
        """Return the IDs of the users who can change the configuration: they may write to directories in the path."""
        main = read_attributes(self._config_path[0])
        return frozenset(([main.uid] if main else []) + ([self._reader.uid] if self._reader else []))

    def _file(self, current: DropinFile | None, content: Settings) -> DropinFile | None:
        declared, reader = self._declared, self._reader
        if not declared.present:
            return None
        attributes = declared.attributes(current.attributes if current else self._model())
        if reader:
            attributes = reader.let_in(
                attributes, owner_is_free=declared.owner is None, group_is_free=declared.group is None
            )
            reader.require_readable(attributes, declared.path)
            directory = os.path.dirname(declared.path)
            listed = any(os.path.realpath(given) == os.path.realpath(directory) for given in self._config_path)
            reader.require_way(os.path.normpath(directory), listed=listed)
        return DropinFile(header(declared.secret), content, attributes)

    def _model(self) -> Attributes | None:
        """Return the attributes that a new file gets its owner and group from, or None for those of this user."""
        # The owner of the configuration: the user who reads one of the files must be able to read the other.
        model = read_attributes(self._config_path[0]) if os.geteuid() == 0 else None
        return self._reader.keeping_secrets(model) if model and self._reader else model

    def _guard(self, current: DropinFile | None, content: Settings, around: Surroundings) -> None:
        path = self._declared.path
        if current and not current.ours and not self._declared.force:
            raise InvalidInput(
                f"{path} was not written by this module, and its content would be lost: copy its settings to the task"
                " and set force=true, or set another path."
            )
        for key in content:
            later = around.later.source_of(key)
            if later:
                raise InvalidInput(
                    f"{key} in {path} would have no effect: Synapse reads {later} after it, which also sets {key}."
                    f" Remove {key} from that file, or set a path that Synapse reads later."
                )

    def _failed(self) -> str:
        """Return the beginning of the message if the change is refused."""
        if not self._declared.present:
            return f"{self._declared.path} was not removed"
        changed = ", ".join(dotted(self._changed))
        return "The settings were not applied" + (f" ({changed})" if changed else "")

    def _judge(self, change: Change) -> None:
        """Raise ConfigurationError if the change must not be made, and keep the warnings."""
        parser = dataclasses.replace(self._parser, reader=self._reader) if self._parser else None
        acceptance = Acceptance(change, self._config_path, parser)
        acceptance.require_declared()
        if change.changes or self._always:
            acceptance.require_accepted()
        self._warnings = acceptance.warnings()

    def _guarded(self, change: Change, run: t.Callable[[], t.Any]) -> t.Callable[[], None]:
        """Return the step `run` with a second judgement if another process has changed the other files meanwhile."""

        def run_guarded() -> None:
            if self._parser:
                # In check mode, an earlier task has not installed it.
                self._parser.require_installed()
            around = read_surroundings(self._config_path, change.path)
            if around != change.around:
                self._judge(dataclasses.replace(change, around=around))
            run()

        return run_guarded

    def _steps(self, current: DropinFile | None, wanted: DropinFile | None) -> tuple[Step, ...]:
        path, trusted = self._declared.path, self._trusted
        if wanted is None:
            require_writable(path, "path", trusted=trusted)
            return (Step(f"remove {path}", lambda: remove_file(path, trusted=trusted)),)
        same = current is not None and current.has_same_content_as(wanted)
        if current and same and current.attributes == wanted.attributes:
            return ()
        require_writable(path, "path", trusted=trusted)
        require_allowed(wanted.attributes, path)
        text = wanted.text()
        shown = ", ".join(f"{name} {value}" for name, value in wanted.attributes.shown().items())
        what = f"set {shown} on {path}" if same else f"write {', '.join(wanted.settings)} to {path}"
        return (Step(what, lambda: replace_file(path, text, wanted.attributes, trusted=trusted)),)

    def _shown(self, file: DropinFile | None, new: t.Collection[KeyPath] = ()) -> dict[str, t.Any] | None:
        if file is None:
            return None
        return {
            **file.attributes.shown(),
            "path": self._declared.path,
            "comment": "as written" if file.header == header(file.secret) else "changed",
            "secrets": dotted(file.secret),
            "settings": masked(file.settings, self._secret, new),
        }
