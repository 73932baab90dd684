# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Secrets in the configuration: which of them YAML reads as something else than text, and what Synapse then does.

Without quotes, YAML reads 123456789 and 1.5e+5 as numbers, yes and no as booleans, 2026-01-01 as a date, and [a] as a
list. What Synapse 1.163 does with them was tried with its parser and with running servers.
"""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import KeyPath, Settings

QUOTES = "Put it in quotes there, exactly as it is meant, and restart Synapse."
_DECLARED_QUOTES = (
    "Put it in quotes where it is declared, exactly as it is meant. If an expression gives it, put it in quotes where"
    " the expression takes it from, or add the filter string."
)

_REFUSED = "Synapse does not start with it"
_BEFORE_REQUESTS = "Synapse answers each request that needs it with an internal server error (500)"
_TURN = "Synapse answers each request for TURN servers with an internal server error (500)"
_TURN_PASSWORD = "clients get it as it is for YAML instead of text"
_PASSWORDS = "Synapse answers each login with a password with an internal server error (500)"
_JWT = "each login with a JSON Web Token fails"
_CONNECTION = "Synapse may use another text than the one in the file, and is then refused"


class Secret(t.NamedTuple):
    """A secret and what follows if it is not text. `path`: with "*" for each entry of a list.

    `if_false`: what follows from a value that counts as false, such as `no` and 0; "" if it is harmless, None for the
    same as `effect`. `allowed`: types that do no harm, in addition to text.
    """

    path: KeyPath
    effect: str
    if_false: str | None = None
    allowed: tuple[type, ...] = ()


SECRETS = (
    Secret(
        ("registration_shared_secret",),
        _BEFORE_REQUESTS,
        "Synapse takes it as not set, and refuses to register accounts with it",
    ),
    Secret(
        ("macaroon_secret_key",), _REFUSED, "Synapse takes it as not set, and uses registration_shared_secret instead"
    ),
    Secret(("form_secret",), _REFUSED),
    Secret(("turn_shared_secret",), _TURN, "Synapse takes it as not set"),
    Secret(("turn_password",), _TURN_PASSWORD, "Synapse takes it as not set"),
    Secret(("password_config", "pepper"), _PASSWORDS),
    Secret(("worker_replication_secret",), _REFUSED),
    Secret(("recaptcha_private_key",), _REFUSED),
    Secret(("recaptcha_public_key",), _REFUSED),
    Secret(("manhole_settings", "password"), _REFUSED),
    Secret(("matrix_authentication_service", "secret"), _REFUSED),
    Secret(("email", "smtp_pass"), _REFUSED),
    Secret(("jwt_config", "secret"), _JWT),
    Secret(("oidc_config", "client_secret"), _REFUSED),
    Secret(("oidc_providers", "*", "client_secret"), _REFUSED),
    # A whole number is sent in its usual form.
    Secret(("redis", "password"), _CONNECTION, "", (int,)),
    Secret(("database", "args", "password"), _CONNECTION, None, (int,)),
    Secret(("databases", "*", "args", "password"), _CONNECTION, None, (int,)),
)


class Unquoted(t.NamedTuple):
    """A secret that is not text. `key`: where it is. `what`: a number, for example. `effect`: what Synapse does."""

    key: KeyPath
    what: str
    effect: str

    @property
    def is_refused(self) -> bool:
        """Whether Synapse does not start with it."""
        return self.effect == _REFUSED

    def sentence(self, file: str, *, is_declared: bool = False) -> str:
        """Return what is wrong in `file`, and what to do, without the secret.

        `is_declared`: a task or a variable declares the secret for the file, so that it must be corrected there.
        """
        fix = _DECLARED_QUOTES if is_declared else QUOTES
        return f"{'.'.join(self.key)} in {file} is {self.what} for YAML, not text, so {self.effect}. {fix}"


def find_unquoted(settings: Settings) -> list[Unquoted]:
    """Return the secrets in `settings` that YAML does not read as text, unless that is harmless."""
    found: list[Unquoted] = []
    for secret in SECRETS:
        for key, value in _values(settings, secret.path, ()):
            effect = secret.effect if value or secret.if_false is None else secret.if_false
            if _is_wrong(value, secret.allowed) and effect and _is_used(settings, key):
                found.append(Unquoted(key, described(value), effect))
    return found


def described(value: t.Any) -> str:
    """Return what a value is for YAML: `a number`, for example."""
    if value is None:
        return "nothing"
    for kind, name in (
        (bool, "a boolean"),
        ((int, float), "a number"),
        (datetime.date, "a date"),
        (str, "text"),
        (bytes, "binary data"),
        (dict, "a mapping"),
        ((list, tuple, set), "a list"),
    ):
        if isinstance(value, t.cast(type, kind)):
            return name
    return "another type"


def _is_wrong(value: t.Any, allowed: tuple[type, ...]) -> bool:
    if value is None or isinstance(value, str):
        return False
    return isinstance(value, bool) or not isinstance(value, allowed)


def _is_used(settings: Settings, key: KeyPath) -> bool:
    """Return whether Synapse reads the secret at all: a file with it has priority, and a block can be off."""
    block: t.Any = settings
    for name in key[:-1]:
        block = _inside(block, name)
    path = block.get(f"{key[-1]}_path") if isinstance(block, dict) else None
    if path and not _inside(block, key[-1]):
        return False
    if key[0] in ("jwt_config", "oidc_config", "redis"):
        return bool(settings[key[0]].get("enabled"))
    if key[-2:] == ("args", "password"):
        database = settings["database"] if key[0] == "database" else _inside(settings["databases"], key[1])
        return bool(database.get("name") == "psycopg2")
    return True


def _inside(block: t.Any, name: str) -> t.Any:
    if isinstance(block, list):
        return block[int(name)]
    return block.get(name) if isinstance(block, dict) else None


def _values(value: t.Any, path: KeyPath, where: KeyPath) -> t.Iterator[tuple[KeyPath, t.Any]]:
    if not path:
        yield where, value
    elif path[0] == "*":
        entries = value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
        for name, inner in entries:
            yield from _values(inner, path[1:], (*where, str(name)))
    elif isinstance(value, dict) and path[0] in value:
        yield from _values(value[path[0]], path[1:], (*where, path[0]))
