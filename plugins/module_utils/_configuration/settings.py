# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Settings as nested mappings: exact comparison, merging, and a copy without secrets."""

from __future__ import annotations

import re
import typing as t

Settings = dict[str, t.Any]
# The keys that lead to a value.
KeyPath = tuple[str, ...]

HIDDEN, HIDDEN_NEW = "(hidden)", "(hidden, new)"

# The names of Synapse's secrets: registration_shared_secret, pepper, smtp_pass, client_secret, database.args.password.
# A name that ends in _path is the path of a file with a secret, and not a secret.
_SECRET_NAME = re.compile(r"(password|passwd|passphrase|secrets?|tokens?|pepper|dsn)$|(^|_)(pass|key|credentials)$")
# The caches have the names of functions in Synapse, and some of them end like the name of a secret.
_CACHE_FACTORS = ("caches", "per_cache_factors")
SHORTEST_SECRET = 4
_CREDENTIALS_IN_URL = re.compile(r"://[^/@\s]*:([^/@\s]*)@")


def same(one: t.Any, other: t.Any) -> bool:
    """Return whether both are the same value of the same type: 1, 1.0 and true are three different settings."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(same(left, right) for left, right in zip(one, other))
    return bool(one == other)


def plain(value: t.Any) -> t.Any:
    """Return a deep copy of `value` that contains only the plain types of YAML and no object twice."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None if value is None else str(value)


def overlay(lower: t.Any, upper: t.Any) -> t.Any:
    """Return `lower` merged with `upper`: mappings are merged at every level, all other values are replaced."""
    if not isinstance(lower, dict) or not isinstance(upper, dict):
        return upper
    return {**lower, **{key: overlay(lower.get(key), value) for key, value in upper.items()}}


def leaves(value: t.Any, where: KeyPath = ()) -> dict[KeyPath, t.Any]:
    """Return all values in `value`, except mappings that are not empty, under the keys that lead to them."""
    if not isinstance(value, dict) or (not value and where):
        return {where: value}
    found: dict[KeyPath, t.Any] = {}
    for key, inner in value.items():
        found.update(leaves(inner, (*where, str(key))))
    return found


def scalars(value: t.Any) -> t.Iterator[t.Any]:
    """Yield the values in mappings and lists, at every level; `value` itself if it is neither."""
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from scalars(inner)
    else:
        yield value


def changed_paths(before: Settings, after: Settings) -> set[KeyPath]:
    """Return the paths of the values that exist on one side only or are different."""
    old, new = leaves(before), leaves(after)
    return {
        where
        for where in old.keys() | new.keys()
        if not (where in old and where in new and same(old[where], new[where]))
    }


def dotted(paths: t.Iterable[KeyPath]) -> list[str]:
    """Return `paths` as text, with dots between the keys, in alphabetical order."""
    return sorted(".".join(where) for where in paths)


def meet(one: KeyPath, other: KeyPath) -> bool:
    """Return whether both paths are the same, or one of them is in the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def masked(settings: Settings, secret: t.Collection[KeyPath] = (), new: t.Collection[KeyPath] = ()) -> Settings:
    """Return a copy of `settings` without secrets.

    These values are hidden: all at a path in `secret`; texts, numbers, dates and mappings whose name looks like the
    name of a secret, also in a list; and URLs with a password. All keys become strings, as in paths. Hidden values at
    the paths `new` are marked, so that their change is visible.
    """
    return t.cast(Settings, _masked(settings, (), frozenset(secret), tuple(new)))


def secret_values(settings: Settings, secret: t.Collection[KeyPath] = ()) -> set[str]:
    """Return the values that `masked` hides, as text, also those in lists, and the passwords in URLs.

    Those with less than SHORTEST_SECRET characters are left out, because any text contains them.
    """
    return {text for text in _secrets_in(settings, (), frozenset(secret)) if len(text) >= SHORTEST_SECRET}


def _masked(value: t.Any, where: KeyPath, secret: frozenset[KeyPath], new: tuple[KeyPath, ...]) -> t.Any:
    if where in secret or _looks_secret(value, where):
        return HIDDEN_NEW if any(meet(where, path) for path in new) else HIDDEN
    if isinstance(value, dict):
        return {str(key): _masked(inner, (*where, str(key)), secret, new) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        # An element has no name of its own: the name of the list counts.
        return [_masked(inner, where, secret, new) for inner in value]
    return value


def _secrets_in(value: t.Any, where: KeyPath, secret: frozenset[KeyPath], inside: bool = False) -> t.Iterator[str]:
    """Yield the secrets in `value`. `inside`: it is in a mapping or list that is a secret as a whole."""
    inside = inside or where in secret
    if isinstance(value, dict):
        is_password = _looks_secret(value, where)
        inside = inside or is_password
        for key, inner in value.items():
            if is_password:
                yield str(key)
            yield from _secrets_in(inner, (*where, str(key)), secret, inside)
    elif isinstance(value, (list, tuple, set)):
        for inner in value:
            yield from _secrets_in(inner, where, secret, inside)
    elif value is not None and not isinstance(value, bool) and (inside or _looks_secret(value, where)):
        yield value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        if not isinstance(value, (str, bytes)):
            # Synapse shows a date, for example, in the form of Python.
            yield repr(value)
        yield from _CREDENTIALS_IN_URL.findall(str(value))


def _looks_secret(value: t.Any, where: KeyPath) -> bool:
    # A password that begins with a brace is a mapping for YAML.
    if value is None or value == {} or isinstance(value, (bool, list, tuple)):
        return False
    if isinstance(value, str) and _CREDENTIALS_IN_URL.search(value):
        return True
    # For YAML, a password of digits is a number, and one such as 2020-01-01 is a date.
    if isinstance(value, (int, float)) and where[:-1] == _CACHE_FACTORS:
        return False
    return bool(where and _SECRET_NAME.search(where[-1].lower()))
