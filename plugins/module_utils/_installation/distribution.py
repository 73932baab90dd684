# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is installed in a virtual environment, read from its files: its Python need not run for that."""

from __future__ import annotations

import contextlib
import json
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.interpreter import without_credentials
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.requirement import canonical_name

_SUFFIX = ".dist-info"
# Every environment gets these when it is made.
_OF_ENVIRONMENTS = {"pip", "setuptools"}


class Distribution(t.NamedTuple):
    """An installed package.

    `whole`: whether its installation was finished; `requested`: whether somebody asked for it, and not only for what
    needs it; `source`: where it came from, as pip takes it, if that is not the index of packages.
    """

    key: str
    version: str
    whole: bool
    requested: bool
    source: str | None

    def __str__(self) -> str:
        return f"{self.key} @ {self.source}" if self.source else f"{self.key}=={self.version}"


class Packages(t.NamedTuple):
    """The packages of an environment, and the names of those whose installation was interrupted."""

    found: tuple[Distribution, ...]
    interrupted: tuple[str, ...]

    def version(self, key: str) -> str | None:
        """Return the version of a package, or None if it is not installed whole."""
        return next((found.version for found in self.found if found.key == key and found.whole), None)

    def kept(self, declared: t.Collection[str]) -> list[str]:
        """Return what somebody had asked for beside the packages `declared` (canonical names), as pip takes it."""
        others = {found.key: str(found) for found in self.found if found.requested}
        return [others[key] for key in sorted(others) if key not in _OF_ENVIRONMENTS | set(declared)]


def read_packages(environment: str, version: str) -> Packages:
    """Return the packages of the environment, made for the Python `version`, such as 3.13. None for what is missing."""
    place = os.path.join(environment, "lib", f"python{version}", "site-packages")
    try:
        names = sorted(os.listdir(place))
    except OSError:
        return Packages((), ())
    found = tuple(_read(os.path.join(place, name)) for name in names if name.endswith(_SUFFIX) and name[0] != "~")
    # While pip exchanges a package, the old one lies beside it with a tilde for its first letter.
    aside = {name for name in names if name.startswith("~")}
    return Packages(found, tuple(sorted({each.key for each in found if not each.whole} | aside)))


def _read(directory: str) -> Distribution:
    name, version = os.path.basename(directory)[: -len(_SUFFIX)].partition("-")[::2]
    # The last file of an installation. What a wheel itself brings by this name does not list who installed it.
    record = _text(directory, "RECORD") or ""
    return Distribution(
        canonical_name(name),
        version,
        f"{_SUFFIX}/INSTALLER," in record,
        os.path.exists(os.path.join(directory, "REQUESTED")),
        _source(_text(directory, "direct_url.json")),
    )


def _source(text: str | None) -> str | None:
    """Return the URL of a package that was not taken from an index, as PEP 610 tells it, in the form of PEP 508."""
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        said = json.loads(text or "")
        url = without_credentials(str(said["url"]))
        if "vcs_info" in said:
            return f"{said['vcs_info']['vcs']}+{url}@{said['vcs_info']['commit_id']}"
        return url
    return None


def _text(directory: str, name: str) -> str | None:
    try:
        with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None
