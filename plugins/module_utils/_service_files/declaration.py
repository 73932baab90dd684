# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""A file of a service as a task declares it. A declaration that can never work is refused before anything is read."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import (
    Attributes,
    group_id,
    group_name,
    parse_mode,
    user_id,
    user_name,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import HIDDEN_PREFIX, READ_AT_MOST
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.marker import MARKER

# In the first line of each file that this collection writes, so that it recognizes the file later.
_MARK = "matrix_ops.synapse"
_DEEPEST = 100
# In bytes: the limits of Linux.
_LONGEST_NAME, _LONGEST_PATH = 255, 4095


@dataclasses.dataclass(frozen=True)
class DeclaredFile:
    """A file as a task declares it. `content` is only None for a file that must not exist.

    `owner` and `group` None or empty: those of the existing file, or for a new file those of this process.
    """

    path: str
    content: str | None = None
    present: bool = True
    mode: str | int = "0644"
    owner: str | None = None
    group: str | None = None
    force: bool = False

    def check(self) -> None:
        """Raise InvalidInput for a declaration that can never work. Reads nothing."""
        self._check_path()
        with self._named():
            parse_mode(self.mode)
        if self.present:
            self._check_content()

    @property
    def normal_path(self) -> str:
        """The path without repeated slashes and without the name `.`."""
        return "/" + "/".join(name for name in self.path.split("/") if name not in ("", "."))

    @property
    def shown_path(self) -> str:
        """The path for a message, without characters that cannot be printed."""
        return repr(self.path)[1:-1] if self.path else '""'

    @property
    def text(self) -> str:
        """The content to write, which ends with a newline."""
        content = self.content or ""
        return content if content.endswith("\n") else f"{content}\n"

    def attributes(self, found: Attributes | None) -> Attributes:
        """Return the declared mode, owner and group. `found`: those of the existing file.

        Raises InvalidInput if the owner or the group does not exist on this host.
        """
        with self._named():
            uid = user_id(self.owner) if self.owner else found.uid if found else os.geteuid()
            gid = group_id(self.group) if self.group else found.gid if found else os.getegid()
        return Attributes(parse_mode(self.mode), uid, gid)

    def known(self, found: Attributes | None) -> Attributes | None:
        """Return the same, or None if the owner or the group does not exist on this host."""
        try:
            return self.attributes(found)
        except InvalidInput:
            return None

    def shown(self, found: Attributes | None) -> dict[str, str]:
        """Return the same as text, with the declared names if they do not exist yet."""
        known = self.known(found)
        if known:
            return known.shown()
        return {
            "mode": f"{parse_mode(self.mode):04o}",
            "owner": self.owner or user_name(found.uid if found else os.geteuid()),
            "group": self.group or group_name(found.gid if found else os.getegid()),
        }

    def _check_path(self) -> None:
        named = f"files has the path {self.shown_path}"
        names = self.path.split("/")
        if not self.path.startswith("/") or ".." in names or not self.path.isprintable():
            raise InvalidInput(
                f"{named}: set an absolute path without .. and without characters that cannot be printed."
            )
        if names[-1] in ("", "."):
            raise InvalidInput(f"{named}, which is that of a directory: set the path of a file in it.")
        if len(names) > _DEEPEST:
            raise InvalidInput(f"{named}, more than {_DEEPEST} directories deep: set another path.")
        if len(os.fsencode(self.path)) > _LONGEST_PATH or any(len(os.fsencode(each)) > _LONGEST_NAME for each in names):
            raise InvalidInput(
                f"{named}, and it or a name in it is too long: set a path of less than 4096 bytes, in which each name"
                " has at most 255 bytes."
            )
        for name in names:
            if name == MARKER or name.startswith(HIDDEN_PREFIX):
                raise InvalidInput(
                    f"{named}, but this collection uses the name {name} for its own files and removes them: set"
                    " another path."
                )

    def _check_content(self) -> None:
        if self.content is None:
            raise InvalidInput(
                f"files has no content for {self.path}: set content, or set state to absent to remove the file."
            )
        try:
            size = len(self.content.encode())
        except UnicodeEncodeError:
            size = 0
        if "\0" in self.content or (self.content and not size):
            raise InvalidInput(
                f"The content of {self.path} has a NUL character or bytes that are not UTF-8: remove them."
            )
        # It could not be read again.
        if size >= READ_AT_MOST:
            raise InvalidInput(f"The content of {self.path} is larger than {READ_AT_MOST} bytes: make it shorter.")
        if _MARK not in self.content.split("\n", 1)[0]:
            raise InvalidInput(
                f"The content of {self.path} does not have {_MARK} in its first line, by which the next run recognizes"
                f' the file: begin it with a comment such as "# Written by {_MARK}".'
            )

    @contextlib.contextmanager
    def _named(self) -> t.Iterator[None]:
        """Add to an error in the block which file it is about."""
        try:
            yield
        except InvalidInput as error:
            error.explain(f"It is set for {self.path}.")
            raise


def is_ours(content: bytes) -> bool:
    """Return whether a file with this content may be replaced and removed: it is from this collection, or empty."""
    return not content or _MARK.encode() in content.split(b"\n", 1)[0]
