# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the checkout where ansible-test wants it: in a directory ansible_collections/matrix_ops/synapse."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

from machine import REPOSITORY

_NEVER = shutil.ignore_patterns(
    ".git", ".demo", ".bench", "__pycache__", ".ansible", ".nox", ".*_cache", "output", "*.tar.gz", "*.pyc"
)


@contextlib.contextmanager
def staged() -> t.Iterator[Path]:
    """Give the directory of a fresh copy of what belongs to the collection, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="matrix_ops_synapse_stage_") as directory:
        # Others than root must be able to read it: PostgreSQL and Synapse may run as ordinary users.
        os.chmod(directory, 0o755)
        collection = Path(directory) / "ansible_collections" / "matrix_ops" / "synapse"
        names = _tracked()
        if names is None:
            shutil.copytree(REPOSITORY, collection, ignore=_NEVER, symlinks=True)
        for name in names or ():
            source, target = REPOSITORY / name, collection / name
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        yield collection


def _tracked() -> list[str] | None:
    """What git knows or would take, or None if this is no checkout of git."""
    if not (REPOSITORY / ".git").exists() or not shutil.which("git"):
        return None
    command = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    return sorted(set(listed.stdout.split("\0")) - {""}) if listed.returncode == 0 else None
