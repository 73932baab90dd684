# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""One declared file: what is there, what will be there, and the step from one to the other."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes, require_allowed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.permission import (
    passing_over_what_is_gone,
    require_removable,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installed_file import (
    InstalledFile,
    read_file,
    remove_file,
    replace_file,
    require_writable,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Step
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.declaration import DeclaredFile, is_ours
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.location import Location


class FilePlan:
    """The plan for one file. `step` is None if nothing changes. It returns false if another process made the change.

    The constructor reads the file. Raises InvalidInput if it is from somebody else, or if this user cannot change it;
    SynapseError if it is not a regular file or cannot be read.
    """

    def __init__(self, declared: DeclaredFile, location: Location) -> None:
        self._declared = declared
        self._place = location.place
        self._has_directory = not location.missing
        self._found = read_file(location.place)
        self._require_ours()
        self.step = self._decide()

    @property
    def path(self) -> str:
        """The path as it is declared."""
        return self._declared.path

    def before(self) -> dict[str, t.Any] | None:
        """Return the file as it is, for a diff."""
        found = self._found
        if found is None:
            return None
        return {"content": found.content.decode(errors="backslashreplace"), **found.attributes.shown()}

    def after(self) -> dict[str, t.Any] | None:
        """Return the file as it will be."""
        declared = self._declared
        return {"content": declared.text, **declared.shown(self._attributes)} if declared.present else None

    def require_known(self) -> None:
        """Raise InvalidInput if the owner or the group does not exist on this host."""
        if self._declared.present:
            self._declared.attributes(self._attributes)

    def problems(self) -> list[str]:
        """Read the file again, and return in words how it differs from the declaration."""
        declared, now = self._declared, read_file(self._place)
        if now is None:
            return [f"{self.path} does not exist"] if declared.present else []
        if not declared.present:
            return [f"{self.path} still exists"]
        found = []
        if now.content != declared.text.encode():
            found.append(f"{self.path} has another content")
        if now.attributes != declared.known(self._attributes):
            found.append(f"{self.path} has another owner, group or mode")
        return found

    @property
    def _attributes(self) -> Attributes | None:
        return self._found.attributes if self._found else None

    def _require_ours(self) -> None:
        found, declared = self._found, self._declared
        if found is not None and not is_ours(found.content) and not declared.force:
            change = "replaced" if declared.present else "removed"
            raise InvalidInput(
                f"{self.path} exists, but this collection has not written it, so that it is not {change}: move it away,"
                " or set force=true for this file."
            )

    def _decide(self) -> Step | None:
        declared, found = self._declared, self._found
        if not declared.present:
            if found is None:
                return None
            self._require_replaceable(found)
            return Step(f"remove {self.path}", self._remove)
        wanted = declared.known(self._attributes)
        same = found is not None and found.content == declared.text.encode()
        if found and same and found.attributes == wanted:
            return None
        self._require_replaceable(found)
        if wanted:
            require_allowed(wanted, self.path)
        shown = ", ".join(f"{name} {value}" for name, value in declared.shown(self._attributes).items())
        return Step(f"set {shown} on {self.path}" if same else f"write {self.path}", self._write)

    def _require_replaceable(self, found: InstalledFile | None) -> None:
        """Raise InvalidInput if this user cannot replace, create or remove the file. Changes nothing."""
        if found is not None:
            # To replace a file, the kernel removes it.
            parent, name = os.path.split(self._place)
            with open_directory(parent, option=f"path {self.path}") as directory:
                directory.require_unmounted(name)
                require_removable(directory, name)
        elif self._has_directory:
            require_writable(self._place, "path")

    def _write(self) -> bool:
        attributes = self._declared.attributes(self._attributes)
        wanted = InstalledFile(self._declared.text.encode(), attributes)
        now = read_file(self._place)
        if now == wanted:
            return False
        self._require_as_planned(now)
        try:
            replace_file(self._place, self._declared.text, attributes)
        except SynapseError as error:
            # Another run may just have replaced the new file by the same one. Failures of the system have a cause.
            if error.__cause__ is not None or read_file(self._place) != wanted:
                raise
        return True

    def _remove(self) -> bool:
        now = read_file(self._place)
        if now is None:
            return False
        self._require_as_planned(now)
        with passing_over_what_is_gone():
            remove_file(self._place)
            return True
        return False

    def _require_as_planned(self, now: InstalledFile | None) -> None:
        """Raise SynapseError if the file is not the one that the plan was made for: it may be from somebody else."""
        if now != self._found:
            raise SynapseError(f"Another process changed {self.path} at the same moment: run the task again.")
