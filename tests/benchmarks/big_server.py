# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A big server on SQLite: 2,000 users in 300 rooms of all versions with 200,000 events, built once and kept.

big_server.py [COPIES]
    Prints its directory, and builds it if need be. `big_server_copy` makes copies of it that can be started.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from commands import Command, Failed, execute
from machine import REPOSITORY, CannotRun, InstallationFailed, cache, locked, postgresql_bin
from stage import staged
from virtual_environments import ENVIRONMENTS

# With the first one these are 25 neighbourhoods of 80 people, 12 rooms and 8,000 events.
COPIES = 24
_HERE = Path(__file__).resolve().parent
_SETUP = REPOSITORY / "tests" / "integration" / "targets" / "setup_synapse" / "files"
_PREFIX = "big_server-"
# In seconds.
_A_WHILE = 2 * 86_400
_SOURCES = (
    "big_server_build.py",
    "big_server_clones.py",
    "big_server_events.py",
    "neighbour.py",
    "neighbour_room.py",
    "neighbourhood.py",
)


def built(copies: int = COPIES) -> Path:
    """Return the directory of a server with that many copies of the first neighbourhood, built if it is not there.

    The first one needs some minutes, its copies another. All need 1 GB in the cache.
    Raises CannotRun, InstallationFailed or Failed.
    """
    kept = cache() / f"{_PREFIX}{_key()}"
    with locked(f"{_PREFIX}built"):
        for old in cache().glob(f"{_PREFIX}*"):
            # Another checkout may use what it has built in another way.
            if old != kept and time.time() - old.stat().st_mtime > _A_WHILE:
                shutil.rmtree(old)
        kept.mkdir(exist_ok=True)
        first, directory = kept / "0", kept / str(copies)
        with tempfile.TemporaryDirectory(dir=cache(), prefix=_PREFIX) as made:
            # Each is moved last, because it is complete if it exists.
            if not first.exists():
                _run("big_server_build.py", Path(made, "0"), str(postgresql_bin())).rename(first)
            if not directory.exists():
                shutil.copytree(first, Path(made, "copies"))
                _run("big_server_clones.py", Path(made, "copies"), str(copies)).rename(directory)
    return directory


def _run(program: str, directory: Path, argument: str) -> Path:
    """Run one of the programs beside this one, and return the directory that it makes or changes."""
    with staged() as collection:
        environment = {
            "PYTHONPATH": f"{collection.parents[2]}:{_HERE}:{_SETUP}",
            "SETUP_SYNAPSE_OWNER": str(os.getpid()),
        }
        command: Command = [ENVIRONMENTS["synapse"].build() / "bin" / "python", _HERE / program, directory, argument]
        execute(command, directory.parent, environment)
    return directory


def _key() -> str:
    """Return a word that is another one if the server would be built in another way."""
    requirements = REPOSITORY / "tests" / "environment" / "requirements" / "synapse.txt"
    sources = [requirements, _SETUP / "synapse_server.py", *(_HERE / name for name in _SOURCES)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


if __name__ == "__main__":
    try:
        print(built(*(int(given) for given in sys.argv[1:])))
    except (CannotRun, InstallationFailed) as error:
        sys.exit(str(error))
    except Failed as error:
        sys.exit(error.output)
