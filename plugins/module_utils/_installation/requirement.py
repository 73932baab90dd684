# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Packages as a task declares them, and whether an installed version is the one that is meant."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:==(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*))?"
)
# In characters.
_LONGEST = 200
# As in PEP 440, appendix B, with the spellings that it takes for the same.
_VERSION = re.compile(
    r"v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)"
    r"(?:[-_.]?(?P<pre>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pre_number>[0-9]*))?"
    r"(?P<post>(?:-(?P<post_number_alone>[0-9]+))|(?:[-_.]?(?:post|rev|r)[-_.]?(?P<post_number>[0-9]*)))?"
    r"(?P<dev>[-_.]?dev[-_.]?(?P<dev_number>[0-9]*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?"
)
_PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


class Requirement(t.NamedTuple):
    """A package, in the version that is meant, or in any (`version` None)."""

    name: str
    version: str | None

    @property
    def key(self) -> str:
        """What the package is called whoever spells it."""
        return canonical_name(self.name)

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}=={self.version}"

    def accepts(self, version: str | None) -> bool:
        """Return whether it is met by an installed `version`; None: not installed."""
        return version is not None and (self.version is None or same_version(self.version, version))


def parse_requirements(texts: t.Iterable[str]) -> tuple[Requirement, ...]:
    """Return the declared packages. Raises InvalidInput for what is none, and for two versions of the same package."""
    found: dict[str, Requirement] = {}
    for text in texts:
        match = _REQUIREMENT.fullmatch(text.strip())
        requirement = Requirement(match["name"], match["version"]) if match else None
        if requirement is None or (requirement.version and _parts(requirement.version) is None):
            raise InvalidInput(
                f"packages holds {text!r}, but each must be the name of a package, alone or with one version, such as"
                " matrix-synapse==1.163.2."
            )
        earlier = found.setdefault(requirement.key, requirement)
        if str(earlier).lower() != str(requirement).lower():
            raise InvalidInput(f"packages names {earlier} and {requirement}: leave one of them out.")
    return tuple(found.values())


def canonical_name(name: str) -> str:
    """Return the one spelling of the name of a package."""
    return re.sub(r"[-_.]+", "-", name).lower()


def same_version(declared: str, found: str) -> bool:
    """Return whether `found` is the version `declared`, however both are spelt (PEP 440).

    A local part, as in 1.0+cpu, makes a difference only if it is declared. What is no version equals itself alone.
    """
    one, other = _parts(declared), _parts(found)
    if one is None or other is None:
        return declared == found
    return one[:-1] == other[:-1] and one[-1] in (None, other[-1])


def _parts(version: str) -> tuple[t.Any, ...] | None:
    match = _VERSION.fullmatch(version.strip().lower())
    # No number of a version is longer than what Python makes one of.
    if not match or len(version) > _LONGEST:
        return None
    release = [int(number) for number in match["release"].split(".")]
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    pre = (_PRE.get(match["pre"], match["pre"]), int(match["pre_number"] or 0)) if match["pre"] else None
    post = int(match["post_number_alone"] or match["post_number"] or 0) if match["post"] else None
    dev = int(match["dev_number"] or 0) if match["dev"] else None
    local = [part.lstrip("0") or "0" for part in re.split("[-_.]", match["local"])] if match["local"] else None
    return int(match["epoch"] or 0), release, pre, post, dev, local
