# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Packages as a task declares them, and whether an installed version matches."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput

_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:==(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*))?"
)
# In characters.
_LONGEST = 200
# The versions of PEP 440, appendix B, with all their spellings.
_VERSION = re.compile(
    r"v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)"
    r"(?:[-_.]?(?P<pre>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pre_number>[0-9]*))?"
    r"(?P<post>(?:-(?P<post_number_alone>[0-9]+))|(?:[-_.]?(?:post|rev|r)[-_.]?(?P<post_number>[0-9]*)))?"
    r"(?P<dev>[-_.]?dev[-_.]?(?P<dev_number>[0-9]*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?"
)
_PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


class Requirement(t.NamedTuple):
    """A package with the required version, or None if any version is possible."""

    name: str
    version: str | None

    @property
    def key(self) -> str:
        """The canonical name of the package."""
        return canonical_name(self.name)

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}=={self.version}"

    def accepts(self, version: str | None) -> bool:
        """Return whether an installed `version` matches; None: not installed."""
        return version is not None and (self.version is None or same_version(self.version, version))


def parse_requirements(texts: t.Iterable[str]) -> tuple[Requirement, ...]:
    """Return the declared packages. Raises InvalidInput for a wrong entry, and for two versions of the same package."""
    found: dict[str, Requirement] = {}
    for text in texts:
        match = _REQUIREMENT.fullmatch(text.strip())
        requirement = Requirement(match["name"], match["version"]) if match else None
        if requirement is None or (requirement.version and _parts(requirement.version) is None):
            raise InvalidInput(
                f"packages contains {text!r}, which is not the name of a package, alone or with one version: set it to"
                " a text such as matrix-synapse==1.163.2."
            )
        earlier = found.setdefault(requirement.key, requirement)
        if str(earlier).lower() != str(requirement).lower():
            raise InvalidInput(f"packages contains {earlier} and {requirement}: remove one of them.")
    return tuple(found.values())


def parse_versions(versions: t.Mapping[t.Any, t.Any], requirements: t.Sequence[Requirement]) -> dict[str, str]:
    """Return the version of each package, by its canonical name, from the option `initial_versions`.

    Raises InvalidInput for something that is not a version, and for a package that is not in `requirements`.
    """
    found: dict[str, str] = {}
    for name, version in versions.items():
        key = canonical_name(str(name))
        if not isinstance(version, str) or not _REQUIREMENT.fullmatch(f"x=={version}") or _parts(version) is None:
            raise InvalidInput(
                f"initial_versions has {version!r} for {name}, which is not a version: write one in quotes, such as"
                ' "1.163.2".'
            )
        if key not in {each.key for each in requirements}:
            raise InvalidInput(f"initial_versions has a version of {name}, which is not in packages: add it there.")
        if found.setdefault(key, version) != version:
            raise InvalidInput(f"initial_versions has {name} twice, with different versions: remove one of them.")
    return found


def canonical_name(name: str) -> str:
    """Return the canonical spelling of the name of a package."""
    return re.sub(r"[-_.]+", "-", name).lower()


def same_version(declared: str, found: str) -> bool:
    """Return whether `found` is the version `declared`, with any spelling of PEP 440.

    A local part, as in 1.0+cpu, only counts if it is declared. A text that is not a version only equals itself.
    """
    one, other = _parts(declared), _parts(found)
    if one is None or other is None:
        return declared == found
    return one[:-1] == other[:-1] and one[-1] in (None, other[-1])


def _parts(version: str) -> tuple[t.Any, ...] | None:
    match = _VERSION.fullmatch(version.strip().lower())
    # Python cannot convert longer numbers.
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
