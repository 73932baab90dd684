# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Drop-ins: a file of settings of our own beside those that Synapse's configuration already has."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import (
    Attributes,
    group_id,
    parse_mode,
    require_allowed,
    user_id,
)
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
    leaves,
    masked,
    overlay,
    plain,
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

# What Synapse 1.163 applies at a reload (reload_cache_config in synapse/app/_base.py), beside certificates and logging.
_RELOADED = {("caches", "global_factor"), ("caches", "per_cache_factors")}


@dataclasses.dataclass(frozen=True)
class DeclaredDropin:
    """A drop-in as a task declares it.

    `owner` and `group` None: what the file has, or for a new one what the configuration has, as far as Synapse can read
    it then. `synapse_user`: who it runs as; None for whoever the running processes show.
    """

    path: str
    settings: Settings
    secrets: Settings
    present: bool = True
    merge: bool = False
    force: bool = False
    mode: str | int = "0640"
    owner: str | None = None
    group: str | None = None
    synapse_user: str | None = None

    @property
    def secret(self) -> set[KeyPath]:
        """Where the declared secrets are."""
        return set(leaves(self.secrets)) if self.secrets else set()

    def check(self) -> None:
        """Raise InvalidInput for what can never work."""
        if "\0" in self.path:
            raise InvalidInput(f"path {self.path!r} is not a path: it holds a NUL character.")
        if not os.path.isabs(self.path):
            raise InvalidInput(f"path {self.path} must be absolute.")
        if os.path.isdir(self.path):
            raise InvalidInput(f"path {self.path} is a directory: name a file in it.")
        if os.path.islink(self.path):
            raise InvalidInput(f"path {self.path} is a symbolic link: name the file that it leads to.")
        if not self.present:
            return
        if not self.settings and not self.secrets:
            raise InvalidInput(
                "settings and secrets are both empty: name a setting, or remove the file by state=absent."
            )
        both = self.secret & set(leaves(self.settings))
        if both:
            raise InvalidInput(f"{', '.join(dotted(both))} is in settings and in secrets: say it in one of them only.")
        if self.secrets and parse_mode(self.mode) & 0o007:
            raise InvalidInput(f"mode {self.mode} would show the secrets to every user of the host: set 0640 or 0600.")

    def content(self, earlier: Settings) -> Settings:
        """Return what the file shall say. `earlier`: the settings of the files that Synapse reads before it."""
        own: Settings = overlay(plain(self.settings), plain(self.secrets))
        return {key: overlay(earlier.get(key), value) for key, value in own.items()} if self.merge else own

    def attributes(self, model: Attributes | None) -> Attributes:
        """Return the mode, owner and group that the file shall have. `model`: what to take the owner and group from."""
        uid = user_id(self.owner) if self.owner else model.uid if model else os.geteuid()
        gid = group_id(self.group) if self.group else model.gid if model else os.getegid()
        return Attributes(parse_mode(self.mode), uid, gid)


class DropinResource:
    """One drop-in with its declared content, as the runner wants it (see _plan.Resource)."""

    def __init__(
        self,
        config_path: t.Sequence[str],
        declared: DeclaredDropin,
        running_users: t.Callable[[], t.Iterable[str]] = tuple,
    ) -> None:
        """`config_path`: the files and directories that Synapse is started with. Nothing is read yet.

        `running_users` finds the users of processes that look like Synapse with this configuration.
        """
        self._config_path = list(config_path)
        self._declared = declared
        self._running_users = running_users
        self._reader: Reader | None = None
        self._trusted: frozenset[int] = frozenset()
        self._before: Settings = {}
        self._after: Settings = {}
        self._secret: set[KeyPath] = set()
        self._wanted: DropinFile | None = None

    def plan(self) -> Plan:
        """Read the configuration and decide. Raises InvalidInput or ConfigurationError."""
        declared = self._declared
        declared.check()
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
        return Plan(
            {"file": self._shown(current), "in_force": masked(self._before, self._secret)},
            {"file": self._shown(self._wanted, new), "in_force": masked(self._after, self._secret, new)},
            self._steps(current, self._wanted),
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
                f"{', '.join(wrong)} is not as declared although the task went well on {self._declared.path}:"
                " something else changes the configuration at the same time. Run the task again."
            )

    def result(self, plan: Plan, executed: bool) -> dict[str, t.Any]:
        """Return the path, the settings in force of the keys concerned (secrets hidden), which of them change, and what
        applies the change to a running Synapse: "reload", "restart", or None if nothing changes for it.
        """
        return {
            "path": self._declared.path,
            "effective": masked(self._after, self._secret),
            "changed_keys": dotted(self._changed),
            "applied_by": self._applied_by(plan),
        }

    @property
    def _changed(self) -> set[KeyPath]:
        return changed_paths(self._before, self._after)

    def _applied_by(self, plan: Plan) -> str | None:
        if not self._changed:
            return None
        # At a reload Synapse reads the files again that it found when it was started (synapse/config/_base.py,
        # reload_config_section): it does not see a new one, and fails over one that is gone.
        stays = all(state is not None and state["file"] is not None for state in (plan.before, plan.after))
        return "reload" if stays and all(path[:2] in _RELOADED for path in self._changed) else "restart"

    def _find_reader(self, around: Surroundings) -> Reader | None:
        if self._declared.synapse_user is not None:
            return reader_named(self._declared.synapse_user)
        return proven_reader(self._running_users(), Configuration(around.earlier.files + around.later.files))

    def _find_trusted(self) -> frozenset[int]:
        """Who may decide what is on the way to the file: who could change the configuration anyway."""
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
        """What a new file takes its owner and group from, None for those of this user."""
        # It belongs to whom the configuration belongs: who reads the one must be able to read the other.
        model = read_attributes(self._config_path[0]) if os.geteuid() == 0 else None
        return self._reader.keeping_secrets(model) if model and self._reader else model

    def _guard(self, current: DropinFile | None, content: Settings, around: Surroundings) -> None:
        path = self._declared.path
        if current and not current.ours and not self._declared.force:
            raise InvalidInput(
                f"{path} was not written by this module, and what it says would be lost: take its settings over into"
                " the task and set force=true, or choose another path."
            )
        for key in content:
            later = around.later.source_of(key)
            if later:
                raise InvalidInput(
                    f"{key} in {path} would have no effect: Synapse reads {later} after it, which sets {key} too."
                    f" Remove {key} from there, or choose a path that Synapse reads later."
                )

    def _steps(self, current: DropinFile | None, wanted: DropinFile | None) -> tuple[Step, ...]:
        path, trusted = self._declared.path, self._trusted
        if wanted is None:
            require_writable(path, "path", trusted=trusted)
            return (Step(f"remove {path}", lambda: remove_file(path, trusted=trusted)),)
        same = current is not None and current.says_as(wanted)
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
