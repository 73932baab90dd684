# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The packages in a virtual environment, read from its files, so that its Python does not have to run."""

from __future__ import annotations

import contextlib
import json
import os
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.interpreter import without_credentials
from ansible_collections.matrix_ops.synapse.plugins.module_utils._installation.requirement import canonical_name

_SUFFIX = ".dist-info"
# Every new environment contains these.
_OF_ENVIRONMENTS = {"pip", "setuptools"}


class Distribution(t.NamedTuple):
    """An installed package.

    `whole`: whether its installation was completed; `requested`: whether a user installed it, and not only as a
    dependency; `source`: its origin in the syntax of pip, if that is not the package index.
    """

    key: str
    version: str
    whole: bool
    requested: bool
    source: str | None

    def __str__(self) -> str:
        return f"{self.key} @ {self.source}" if self.source else f"{self.key}=={self.version}"


class Packages(t.NamedTuple):
    """The packages of an environment, and the names of the packages whose installation was interrupted."""

    found: tuple[Distribution, ...]
    interrupted: tuple[str, ...]

    def version(self, key: str) -> str | None:
        """Return the version of a package, or None if it is not completely installed."""
        return next((found.version for found in self.found if found.key == key and found.whole), None)

    def last(self, key: str) -> str | None:
        """Return a package with its present or last version, in the syntax of pip; None if it was never installed.

        This includes a package whose installation was interrupted, so that its version can be installed again.
        """
        for found in sorted(self.found, key=lambda each: not each.whole):
            if found.key == key:
                return str(found)
        # pip replaces the first character of the name with a tilde.
        aside = (name for name in self.interrupted if name.startswith("~") and name.endswith(_SUFFIX))
        replaced = (name[1 : -len(_SUFFIX)].partition("-")[::2] for name in aside)
        return next((f"{key}=={version}" for name, version in replaced if canonical_name(name) == key[1:]), None)

    def kept(self, declared: t.Collection[str]) -> list[str]:
        """Return the packages that a user installed, except `declared` (canonical names), in the syntax of pip."""
        others = {found.key: str(found) for found in self.found if found.requested}
        return [others[key] for key in sorted(others) if key not in _OF_ENVIRONMENTS | set(declared)]


def read_packages(environment: str, version: str) -> Packages:
    """Return the packages of an environment that was created for the Python `version`, such as 3.13."""
    place = os.path.join(environment, "lib", f"python{version}", "site-packages")
    try:
        names = sorted(os.listdir(place))
    except OSError:
        return Packages((), ())
    found = tuple(_read(os.path.join(place, name)) for name in names if name.endswith(_SUFFIX) and name[0] != "~")
    # While pip replaces a package, it renames the old one: a tilde replaces the first character.
    aside = {name for name in names if name.startswith("~")}
    return Packages(found, tuple(sorted({each.key for each in found if not each.whole} | aside)))


def _read(directory: str) -> Distribution:
    name, version = os.path.basename(directory)[: -len(_SUFFIX)].partition("-")[::2]
    # pip writes RECORD last. The RECORD in a wheel does not list INSTALLER.
    record = _text(directory, "RECORD") or ""
    return Distribution(
        canonical_name(name),
        version,
        f"{_SUFFIX}/INSTALLER," in record,
        os.path.exists(os.path.join(directory, "REQUESTED")),
        _source(_text(directory, "direct_url.json")),
    )


def _source(text: str | None) -> str | None:
    """Return the URL in a file of PEP 610, in the form of PEP 508; None for a package from the package index."""
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
