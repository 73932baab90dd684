# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection and look at the artifact as a user gets it: artifact.py COLLECTION DIRECTORY_OF_GALAXY_IMPORTER

Its files are just those that belong in it, galaxy-importer takes it, and from an empty directory somewhere else every
module, filter and role shows its documentation and every playbook is found by its full name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import typing as t
from pathlib import Path

_TOP_LEVEL = {
    "CHANGELOG.md",
    "COPYING",
    "FILES.json",
    "LICENSES",
    "MANIFEST.json",
    "README.md",
    "changelogs",
    "docs",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}


def run(command: t.Sequence[str | Path], directory: Path, **environment: str) -> str:
    """Run a command and return what it printed; end the check if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=directory, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"$ {' '.join(words)}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def names_in(directory: Path, pattern: str) -> set[str]:
    """Return the names of the collection's things below a directory, without their suffix."""
    return {path.stem for path in directory.glob(pattern) if not path.name.startswith("_")}


def check_files(artifact: Path, collection: Path) -> None:
    """End the check if the artifact lacks a file of the collection, or holds one that does not belong in it."""
    with tarfile.open(artifact) as archive:
        members = archive.getmembers()
    inside = {member.name for member in members if member.isfile()}
    # In a tree without Git there may be one that was left over; it would shadow a module of the same name.
    filled = {str(parent) for name in inside for parent in Path(name).parents}
    unexpected = {member.name for member in members if member.isdir()} - filled
    unexpected |= {name for name in inside if name.split("/")[0] not in _TOP_LEVEL}
    unexpected |= {name for name in inside if "/." in f"/{name}" or name.endswith((".pyc", ".tar.gz"))}
    parts = ("plugins", "roles", "playbooks", "meta", "LICENSES")
    expected = {
        str(path.relative_to(collection))
        for part in parts
        for path in (collection / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    if unexpected or expected - inside:
        sys.exit(f"unexpected: {sorted(unexpected)}\nmissing: {sorted(expected - inside)}")


def check_installed(collection: Path, directory: Path) -> None:
    """End the check if something of the installed collection cannot be found by its full name."""
    found = {"ANSIBLE_COLLECTIONS_PATH": str(directory)}
    for kind, names in (
        ("module", names_in(collection / "plugins" / "modules", "*.py")),
        ("filter", names_in(collection / "plugins" / "filter", "*.py")),
        ("role", names_in(collection / "roles", "*")),
    ):
        full = sorted(f"matrix_ops.synapse.{name}" for name in names)
        shown = json.loads(run(["ansible-doc", "--json", "--type", kind, *full], directory, **found))
        if set(shown) != set(full):
            sys.exit(f"ansible-doc shows {sorted(shown)} instead of {full}")
    for name in sorted(names_in(collection / "playbooks", "*.yml")):
        playbook = f"matrix_ops.synapse.{name}"
        run(["ansible-playbook", "--syntax-check", "--inventory", "synapse,", playbook], directory, **found)


def main() -> None:
    """Build, look at, import and install the collection."""
    collection, importer = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        run(["ansible-galaxy", "collection", "build", "--output-path", directory, "--force"], collection)
        (artifact,) = directory.glob("*.tar.gz")
        check_files(artifact, collection)
        path = f"{importer}:{os.environ['PATH']}"
        configuration = directory / "galaxy-importer.cfg"
        configuration.write_text(
            "[galaxy-importer]\nRUN_ANSIBLE_LINT=False\nRUN_ANSIBLE_TEST=False\nCHECK_REQUIRED_TAGS=True\n"
        )
        run(
            [importer / "python", "-m", "galaxy_importer.main", artifact],
            directory,
            PATH=path,
            GALAXY_IMPORTER_CONFIG=str(configuration),
        )
        installed = directory / "installed"
        run(["ansible-galaxy", "collection", "install", artifact, "--offline", "-p", installed], directory)
        check_installed(collection, installed)


if __name__ == "__main__":
    main()
