# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Where a declared file is: its real path, and the directories on the way that do not exist yet. Changes nothing."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._directory import open_directory
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.declaration import DeclaredFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._system_directory import whose


class Location(t.NamedTuple):
    """`path`: as declared; `place`: with all links in its directories followed.

    `around`: its last directory that exists; `missing`: those below that do not, from the top down. Both are real
    paths. `identity`: the same for all paths that lead to the same file, for example because of a bind mount.
    """

    path: str
    place: str
    around: str
    missing: tuple[str, ...]
    identity: tuple[int, int, str]

    @property
    def existing(self) -> tuple[str, ...]:
        """The existing directories on the way, from the bottom up, without the root directory."""
        found = []
        above = self.around
        while above != "/":
            found.append(above)
            above = os.path.dirname(above)
        return tuple(found)


def locate(declared: DeclaredFile) -> Location:
    """Return the location of a file.

    Raises InvalidInput for a path of the system, and if another user could replace a directory on the way; SynapseError
    if this user has no permission to look there.
    """
    path = declared.normal_path
    named = f"files has the path {declared.shown_path}"
    _require_not_of_system(path, f"{named}, which is")
    around = os.path.dirname(path)
    while not os.path.lexists(around):
        around = os.path.dirname(around)
    names = os.path.relpath(path, around).split("/")
    with open_directory(around, option=f"path {path}") as directory:
        # Without permission to look, a file would seem to be missing.
        directory.status(names[0])
        status = os.fstat(directory.descriptor)
    # The links on the way have just been found to be those of root, or of this user.
    real = os.path.realpath(around)
    place = os.path.join(real, *names)
    _require_not_of_system(place, f"{named}, which leads to {place}, that is")
    missing = tuple(os.path.join(real, *names[:count]) for count in range(1, len(names)))
    for above in missing:
        foreign = whose(above, None, ())
        if foreign:
            raise InvalidInput(
                f"{named}, but {above} does not exist and is {foreign}: create it first, or set another path."
            )
    return Location(declared.path, place, real, missing, (status.st_dev, status.st_ino, "/".join(names)))


def require_different(locations: t.Iterable[Location]) -> None:
    """Raise InvalidInput if two of them are the same file, or if one would be in the other."""
    found: dict[tuple[int, int, str], Location] = {}
    for location in locations:
        earlier = found.setdefault(location.identity, location)
        if earlier is location:
            continue
        if earlier.path == location.path:
            raise InvalidInput(f"files has the path {location.path} twice: remove one of them.")
        raise InvalidInput(
            f"files has {earlier.path} and {location.path}, which are the same file: remove one of them."
        )
    places = {location.place: location for location in found.values()}
    for location in found.values():
        above = location.place
        while above != "/":
            above = os.path.dirname(above)
            if above in places:
                raise InvalidInput(
                    f"files has {places[above].path} and {location.path}, but a file cannot be in a file: change one of"
                    " the paths."
                )


def _require_not_of_system(path: str, sentence: str) -> None:
    foreign = whose(path, None, ())
    if foreign:
        raise InvalidInput(f"{sentence} {foreign}: set the path of a file for your own settings, such as one in /etc.")
