# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Installations in a scratch directory, with a program that replaces a Python with venv and pip."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import stat
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils import _obstacle as obstacle
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.installation import (
    DeclaredInstallation,
    InstallationResource,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.layout import DeclaredDirectory, Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.ownership import Ownership
from ansible_collections.matrix_ops.synapse.plugins.module_utils._plan import Plan

SYNAPSE = "matrix-synapse==1.163.2"
# A user that exists on every host. Only root can set it as an owner.
OTHER = "nobody" if os.geteuid() == 0 else None

# The arguments select what it does. With `kill` in its file of orders, it kills its parent process in the middle of an
# installation, continues for a moment, and then creates the file `ended`. With `fail`, it fails as pip does.
# It runs hundreds of times, so that it uses the shell instead of other programs where possible.
_PROGRAM = """#!/bin/sh
here=${{0%/*}}
packages=$here/../lib/python{version}/site-packages
case "$*" in
*"pip --version"*|*"pip.__main__"*) test -d "$packages/pip" ;;
*find_spec*) echo '["{version}", "{itself}", {missing}]' ;;
*"-m venv"*)
    for place; do :; done
    cp -R "{model}/." "$place"
    printf '#!/bin/sh\\necho "made for %s"\\n' "$place" > "$place/bin/tool"
    printf 'home = {directory}\\nversion = {version}.4\\ncommand = -m venv %s\\n' "$place" > "$place/pyvenv.cfg" ;;
*"pip install"*)
    for requirement; do
        case $requirement in
        -*|pip|install) continue ;;
        *==*) name=${{requirement%%==*}} version=${{requirement##*==}} ;;
        *) name=$requirement version=7.0 ;;
        esac
        orders=
        test -f "{itself}.orders" && read -r orders < "{itself}.orders"
        if [ "$orders" = fail ]; then
            echo "WARNING: Retrying after connection broken by x: https://u:hush@i.test/" >&2
            echo "ERROR: No matching distribution found for $requirement in https://u:hush@i.test/simple" >&2
            exit 1
        fi
        file=
        while [ "$name" != "${{name#*-}}" ]; do
            file=$file${{name%%-*}}_ name=${{name#*-}}
        done
        file=$file$name
        for other in "$packages/$file"-*.dist-info; do
            test -d "$other" && rm -r "$other"
        done
        info=$packages/$file-$version.dist-info
        mkdir "$info"
        : > "$info/REQUESTED"
        if [ "$orders" = kill ]; then
            rm "{itself}.orders"
            kill -9 $PPID
            sleep 1
            : > "{itself}.ended"
        fi
        echo "$file-$version.dist-info/INSTALLER,," > "$info/RECORD"
    done ;;
esac
"""


class Scratch:
    """A directory with an installation: its paths, and its declaration."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.configuration = root / "etc" / "matrix-synapse"
        self.drop_ins = self.configuration / "conf.d"
        self.data = root / "lib" / "matrix-synapse"
        self.environment = root / "venvs" / "matrix-synapse"
        self.python = root / "programs" / "python3"
        self.python.parent.mkdir()
        self.let_python_be("3.98")

    def let_python_be(self, version: str, missing: str = "[]") -> None:
        """Replace the Python by one with this version and these missing modules."""
        text = _PROGRAM.format(
            version=version,
            missing=missing,
            itself=self.python,
            directory=self.python.parent,
            model=self._model(version),
        )
        # Do not overwrite the file itself, which may be running.
        new = self.python.with_name("new")
        new.write_text(text)
        new.chmod(0o755)
        new.replace(self.python)

    def _model(self, version: str) -> pathlib.Path:
        """Return the directory with the initial content of all environments of this version."""
        model = self.python.with_name(f"model-{version}")
        if not model.exists():
            packages = model / "lib" / f"python{version}" / "site-packages"
            for part in (model, model / "bin", packages.parents[1], packages.parent, packages, packages / "pip"):
                part.mkdir()
                part.chmod(0o755)
            (model / "bin" / "python").symlink_to(self.python)
            (model / "bin" / "tool").touch()
            (model / "bin" / "tool").chmod(0o755)
        return model

    def order(self, order: str) -> None:
        """Let the next installation of a package end with this order: kill or fail."""
        pathlib.Path(f"{self.python}.orders").write_text(order)

    def directories(self) -> tuple[DeclaredDirectory, ...]:
        """Return the declared directories."""
        return (
            DeclaredDirectory(
                str(self.configuration), Ownership(0o750), ("homeserver.yaml", "example.org.signing.key")
            ),
            DeclaredDirectory(str(self.drop_ins), Ownership(0o750), (), ("*.yaml",)),
            DeclaredDirectory(str(self.data), Ownership(0o700, OTHER), ("homeserver.db", "media_store")),
        )

    def resource(self, **declared: t.Any) -> InstallationResource:
        """Return the installation with all declarations, replaced by those in `declared`."""
        everything: dict[str, t.Any] = {
            "directories": self.directories(),
            "virtualenv": str(self.environment),
            "virtualenv_python": str(self.python),
            "packages": (SYNAPSE,),
        }
        return InstallationResource(DeclaredInstallation(**{**everything, **declared}), accounts=[])

    def run(self, **declared: t.Any) -> tuple[Plan, dict[str, t.Any]]:
        """Do the same as the runner, and return the plan and the result.

        Fails the test if planning changes something, or a second run would.
        """
        before = snapshot(self.root)
        resource = self.resource(**declared)
        plan = resource.plan()
        assert snapshot(self.root) == before
        foreseen = resource.result(plan, False)
        plan.execute()
        resource.verify(plan)
        assert resource.result(plan, True) == foreseen
        again = self.resource(**declared).plan()
        assert ([step.description for step in again.steps], again.before) == ([], plan.after)
        return plan, foreseen

    def refusal(self, **declared: t.Any) -> str:
        """Return the message for a declaration that is refused, and check that it changes nothing."""
        before = snapshot(self.root)
        said = None
        try:
            self.resource(**declared).plan()
        except SynapseError as error:
            said = error.message
        assert snapshot(self.root) == before
        assert said is not None, "this is not refused"
        assert "\n" not in said
        return said


class Kept:
    """A copy of the present content of a directory, except some entries, that can be restored many times."""

    def __init__(self, root: pathlib.Path, apart_from: t.Collection[str]) -> None:
        self._root = root
        self._apart_from = apart_from
        self._entries = [(path, path.lstat(), _content(path)) for top in self._tops() for path in _tree(top)]

    def put_back(self) -> None:
        """Restore everything except times."""
        for top in self._tops():
            if top.is_dir() and not top.is_symlink():
                shutil.rmtree(top)
            else:
                top.unlink()
        for path, status, content in self._entries:
            if stat.S_ISLNK(status.st_mode):
                path.symlink_to(os.fsdecode(content))
                continue
            if stat.S_ISDIR(status.st_mode):
                path.mkdir()
            else:
                path.write_bytes(content)
            path.chmod(stat.S_IMODE(status.st_mode))
            os.chown(path, status.st_uid, status.st_gid)

    def _tops(self) -> list[pathlib.Path]:
        return [path for path in self._root.iterdir() if path.name not in self._apart_from]


def _tree(path: pathlib.Path) -> t.Iterator[pathlib.Path]:
    """Yield a path and everything below it, each directory before its entries."""
    yield path
    if path.is_dir() and not path.is_symlink():
        for entry in path.iterdir():
            yield from _tree(entry)


def _content(path: pathlib.Path) -> bytes:
    """Return the content of a file or the target of a link; empty for a directory."""
    if path.is_symlink():
        return os.fsencode(os.readlink(path))
    return path.read_bytes() if path.is_file() else b""


def layout_of(*paths: pathlib.Path, environment: pathlib.Path | None = None) -> Layout:
    """Return a layout of directories that only this user can enter."""
    directories = tuple(DeclaredDirectory(str(path), Ownership(0o700)) for path in paths)
    return Layout(directories, str(environment) if environment else None)


def let_be_fixed(monkeypatch: pytest.MonkeyPatch, *paths: pathlib.Path, letter: str = "i") -> None:
    """Pretend that these paths, or all, have an attribute as from `chattr +letter`, on any file system."""
    files = [path.stat() for path in paths]
    bits = {"i": 0x10, "a": 0x20}[letter]

    def attributes(descriptor: int, name: str) -> int:
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        return bits if not files or any(os.path.samestat(status, file) for file in files) else 0

    monkeypatch.setattr(obstacle, "_attributes", attributes)


def snapshot(root: pathlib.Path) -> dict[str, tuple[t.Any, ...]]:
    """Return all properties of everything below `root`, except times."""
    found: dict[str, tuple[t.Any, ...]] = {}
    places = [str(root)]
    while places:
        with os.scandir(places.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                content: str | None = None
                if stat.S_ISLNK(status.st_mode):
                    content = os.readlink(entry.path)
                elif stat.S_ISREG(status.st_mode):
                    content = hashlib.sha256(pathlib.Path(entry.path).read_bytes()).hexdigest()
                elif stat.S_ISDIR(status.st_mode):
                    places.append(entry.path)
                found[os.path.relpath(entry.path, root)] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found
