# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Files of this collection in JSON that later runs believe, for example the record of a restart."""

from __future__ import annotations

import json
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import AS_ROOT, Unknown

_MOST_BYTES = 4 * 1024**2
T = t.TypeVar("T")


class TrustedFile(t.NamedTuple):
    """A kind of file. `name`: of the value that is unknown without it. `content`: what it contains. `fix`: if bad."""

    name: str
    content: str
    fix: str

    def read(self, path: str, convert: t.Callable[[t.Any], T]) -> T | Unknown | None:
        """Return the content of the file, None if it does not exist, or the reason why it is ignored.

        `convert` gets the JSON and raises TypeError, ValueError, KeyError or OverflowError if it is something else. A
        user who can write to the file can deceive later runs. So it must be a regular file that only root or this user
        can write to.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except PermissionError:
            return self._ignored(path, "cannot be read by this user")._replace(fix=AS_ROOT)
        except OSError as error:
            is_link = os.path.islink(path)
            return self._ignored(path, "is a link" if is_link else f"cannot be read ({error.strerror})")
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return self._ignored(path, "is not a regular file")
            if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return self._ignored(path, "can be written by users other than root and this user")
            with open(descriptor, "rb", closefd=False) as file:
                text = file.read(_MOST_BYTES)
        finally:
            os.close(descriptor)
        try:
            return convert(json.loads(text))
        except (TypeError, ValueError, KeyError, OverflowError, RecursionError):
            return self._ignored(path, f"does not contain {self.content}")

    def _ignored(self, path: str, reason: str) -> Unknown:
        return Unknown(self.name, f"{path} {reason}, so it was ignored.", self.fix)
