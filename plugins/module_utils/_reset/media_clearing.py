# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Removes the files of Synapse's media store: only those whose paths Synapse itself uses, and without following a link.

The layout is that of synapse/media/filepath.py (1.163). Anything else in the directory stays, and is reported.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import Directory, open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._progress import Work, progress

# What Synapse accepts in the name of a file or a directory of its store, and the first letters of an ID.
_NAME = re.compile(r"[A-Za-z0-9_\-.\[\]:]+")
_TWO = re.compile(r"[A-Za-z0-9_\-.\[\]:]{2}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
# The names of the levels below a directory of the store. The last one is that of files.
Form = tuple[re.Pattern[str], ...]
_ID: Form = (_TWO, _TWO, _NAME)
_LAYOUT: dict[str, tuple[Form, ...]] = {
    "local_content": (_ID,),
    "local_thumbnails": ((*_ID, _NAME),),
    "remote_content": ((_NAME, *_ID),),
    "remote_thumbnail": ((_NAME, *_ID, _NAME),),
    "url_cache": ((_DATE, _NAME), _ID),
    "url_cache_thumbnails": ((_DATE, _NAME, _NAME), (*_ID, _NAME)),
}
_KEPT_AT_MOST = 10


class Cleared(t.NamedTuple):
    """How many files were removed, and what stayed: paths, at most ten, and how many in all."""

    files: int
    kept: list[str]
    kept_count: int


class MediaClearing:
    """Removes the media of a media store that are older than the new database."""

    def __init__(self, path: str) -> None:
        """`path`: the directory of the media store, as `find_media_store` returns it. Reads nothing yet."""
        self._path = path
        self._files = 0
        self._kept: list[str] = []
        self._kept_count = 0

    def has_files(self, before: float) -> bool:
        """Return whether `clear` would remove a file. Raises SynapseError if the store cannot be read.

        `before`: the time since 1970 in seconds; files that were written later stay.
        """
        if not os.path.lexists(self._path):
            return False
        with self._opened() as store:
            return any(self._look(store, before))

    def require_clearable(self) -> None:
        """Raise InvalidInput if `clear` could not remove files. Changes nothing."""
        with self._opened() as store:
            for name in filter(lambda name: self._is_directory(store, name), _LAYOUT):
                mounted = store.mounted(name)
                if mounted is not None:
                    raise InvalidInput(
                        f"{mounted} in the media store is a mount point, and what is mounted there is not removed. Set"
                        " purge_media to false, and remove the media files yourself after the reset."
                    )
                with store.child(name) as top:
                    top.require_writable(f"The media store {self._path}")

    def clear(self, before: float) -> Cleared:
        """Remove the files and the directories that are empty then. What was written at `before` or later stays.

        Raises SynapseError for what cannot be removed.
        """
        self._files, self._kept, self._kept_count = 0, [], 0
        if os.path.lexists(self._path):
            with self._opened() as store:
                for name in _LAYOUT:
                    if self._is_directory(store, name, top=True):
                        store.require_unmounted(name)
                        with store.child(name) as top:
                            self._clear(top, 0, _LAYOUT[name], before)
        return Cleared(self._files, self._kept, self._kept_count)

    def _opened(self) -> t.ContextManager[Directory]:
        try:
            owner = os.stat(self._path).st_uid
        except OSError as error:
            raise SynapseError(f"The media store {self._path} cannot be read: {error.strerror}.") from error
        # The user of Synapse, to whom the media belong.
        return open_directory(self._path, trusted={owner}, option=f"The media store {self._path}")

    def _clear(self, here: Directory, depth: int, forms: t.Sequence[Form], before: float) -> None:
        for name in here.names():
            fitting = _fitting(name, depth, forms)
            status = here.status(name)
            if status is None:
                continue
            deeper = [form for form in fitting if depth + 1 < len(form)]
            if stat.S_ISDIR(status.st_mode) and deeper:
                with here.child(name) as inside:
                    self._clear(inside, depth + 1, deeper, before)
                self._remove_if_empty(here, name)
            elif stat.S_ISREG(status.st_mode) and len(deeper) < len(fitting):
                if status.st_mtime < before:
                    here.remove(name)
                    self._files += 1
                    progress.report(Work.MEDIA, self._files)
            else:
                self._keep(here.place(name))

    def _look(self, store: Directory, before: float) -> t.Iterator[bool]:
        for name in _LAYOUT:
            if self._is_directory(store, name):
                with store.child(name) as top:
                    yield from self._look_in(top, 0, _LAYOUT[name], before)

    def _look_in(self, here: Directory, depth: int, forms: t.Sequence[Form], before: float) -> t.Iterator[bool]:
        for name in here.names():
            fitting = _fitting(name, depth, forms)
            status = here.status(name)
            deeper = [form for form in fitting if depth + 1 < len(form)]
            if status and stat.S_ISDIR(status.st_mode) and deeper:
                with here.child(name) as inside:
                    yield from self._look_in(inside, depth + 1, deeper, before)
            elif status and stat.S_ISREG(status.st_mode) and len(deeper) < len(fitting) and status.st_mtime < before:
                yield True

    def _is_directory(self, store: Directory, name: str, *, top: bool = False) -> bool:
        status = store.status(name)
        if status is None:
            return False
        if not stat.S_ISDIR(status.st_mode):
            if top:
                self._keep(store.place(name))
            return False
        return True

    def _remove_if_empty(self, here: Directory, name: str) -> None:
        try:
            here.remove_empty(name)
        except SynapseError as error:
            if getattr(error.__cause__, "errno", None) not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    def _keep(self, place: str) -> None:
        self._kept_count += 1
        if len(self._kept) < _KEPT_AT_MOST:
            self._kept.append(place)


def _fitting(name: str, depth: int, forms: t.Iterable[Form]) -> list[Form]:
    """Return the forms that allow this name at this level."""
    return [form for form in forms if depth < len(form) and form[depth].fullmatch(name)]
