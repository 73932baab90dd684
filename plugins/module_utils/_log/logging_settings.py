# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The values of a configuration of Python's logging, with their types checked and their references resolved."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError

# cfg://handlers.file.filename and cfg://handlers.syslog.address[0] are values elsewhere in the configuration.
_REFERENCE = "cfg://"
_STEP = re.compile(r"\.?([^.\[\]]+)|\[([^\]]*)\]")
# A reference can lead to another one.
_REFERENCES_AT_MOST = 10


class LoggingSettings:
    """Reads values from the settings of one file."""

    def __init__(self, settings: Settings, path: str) -> None:
        """`path`: that of the file, for errors."""
        self._settings = settings
        self._path = path

    def value(self, settings: Settings, key: str, default: t.Any = None) -> t.Any:
        """Return the value of a key in `settings`, a part of the file.

        Raises ConfigurationError for a reference to something that does not exist.
        """
        return self._resolved(settings.get(key, default), 0)

    def factory(self, settings: Settings) -> t.Any:
        """Return what makes a handler or a formatter, "()" or class, None if there is neither."""
        return self.value(settings, "()", self.value(settings, "class"))

    def mapping(self, value: t.Any, where: str) -> Settings:
        """Return `value`, the value of the key `where`, as a mapping, or raise ConfigurationError if it is not one."""
        if not isinstance(value, dict):
            raise self.wrong(where, "is not a mapping")
        return value

    def mappings(self, key: str) -> dict[str, Settings]:
        """Return a part such as handlers: mappings by their names. Raises ConfigurationError if it is not that."""
        found = self.mapping(self.value(self._settings, key, {}), key)
        for name in found:
            if not isinstance(name, str):
                raise self.wrong(f"{key}.{name}", "has a name that is not text: put the name in quotes", fix=False)
        return {name: self.mapping(self.value(found, name), f"{key}.{name}") for name in found}

    def wrong(self, where: str, reason: str, *, fix: bool = True) -> ConfigurationError:
        """Return the error for a value that Python's logging does not accept. `fix`: the reason has no fix in it."""
        ending = "correct it, because Synapse cannot start with it" if fix else "Synapse cannot start with it"
        return ConfigurationError(f"{where} in the log configuration {self._path} {reason}: {ending}.")

    def _resolved(self, value: t.Any, depth: int) -> t.Any:
        if not isinstance(value, str) or not value.startswith(_REFERENCE):
            return value
        if depth == _REFERENCES_AT_MOST:
            raise self.wrong(value, "leads to itself")
        found: t.Any = self._settings
        rest = value[len(_REFERENCE) :]
        position = 0
        while position < len(rest):
            step = _STEP.match(rest, position)
            if step is None:
                raise self.wrong(value, "is not a valid reference")
            name = step[1] if step[1] is not None else step[2]
            found = self._resolved(self._child(found, name, value), depth + 1)
            position = step.end()
        return found

    def _child(self, value: t.Any, name: str, reference: str) -> t.Any:
        if isinstance(value, dict) and name in value:
            return value[name]
        if isinstance(value, list) and name.isdigit() and len(name) < 6 and int(name) < len(value):
            return value[int(name)]
        raise self.wrong(reference, "refers to a value that does not exist")
