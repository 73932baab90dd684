# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_access_token refuses: then no account is created, and no account stays logged in."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pwd
import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.account_cases import devices_of
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Parameters,
    Refusal,
    named,
    nothing,
    play,
    prove_refusal,
)

_MODULE = "synapse_access_token"
_PASSWORD = "robot secret"
_SECRETS = (_PASSWORD, "mallory secret", "very, secret")


def _prepare(place: Place) -> None:
    """Register an account that is not an admin. The account with the word `mallory` does not exist."""
    place.server.register(f"{place.unique}-robot", _PASSWORD)


def _state(place: Place) -> State:
    """Return all accounts of the case, their devices, and the files in its directory."""
    query = "SELECT name, admin, deactivated, password_hash FROM users WHERE lower(name) LIKE ?"
    accounts = sorted(place.server.rows(query, f"@{place.unique}-%"))
    return {
        "accounts": accounts,
        "devices": {name: devices_of(place, name) for name, *_columns in accounts},
        "files": sorted(str(path) for path in place.directory.rglob("*")),
    }


def _file(place: Place, name: str, content: str) -> str:
    path = place.directory / name
    path.touch(mode=0o600)
    path.write_text(content)
    return str(path)


def _directory(place: Place, name: str, mode: int, owner: int) -> None:
    path = place.directory / name
    path.mkdir()
    path.chmod(mode)
    os.chown(path, owner, -1)


def _mallory(place: Place, **declared: t.Any) -> Parameters:
    """Declare an account that does not exist."""
    return {"user_id": f"{place.unique}-mallory", "password": "mallory secret", **declared}


def _robot(place: Place, **declared: t.Any) -> Parameters:
    return {"user_id": f"{place.unique}-robot", "password": _PASSWORD, **declared}


def _created(place: Place, **declared: t.Any) -> Parameters:
    return _mallory(place, create=True, config_path=place.server.config_path, **declared)


def _configured(name: str, content: str | None) -> t.Callable[[Place], Parameters]:
    """Declare an account to create, with a configuration of that content, or one that does not exist."""

    def declare(place: Place) -> Parameters:
        path = str(place.directory / name) if content is None else _file(place, name, content)
        return _mallory(place, create=True, config_path=[path])

    return declare


def _settings(**more: t.Any) -> t.Callable[[Place], Parameters]:
    """Declare an account to create, with the server's own secret in a configuration that contains more settings."""

    def declare(place: Place) -> Parameters:
        settings = {"server_name": place.server.name, "registration_shared_secret": place.server.secret, **more}
        # JSON is valid YAML.
        return _mallory(place, create=True, config_path=[_file(place, "settings.yaml", json.dumps(settings))])

    return declare


def _owned_name(place: Place) -> Parameters:
    """Declare an account to create whose name belongs to an application service of the configuration."""
    users = [{"exclusive": True, "regex": f"@{place.unique}-.*"}]
    registration = {
        "id": "bridge",
        "as_token": "a",
        "sender_localpart": f"{place.unique}bridge",
        "namespaces": {"users": users},
    }
    path = _file(place, "bridge.yaml", json.dumps(registration))
    return _settings(app_service_config_files=[path])(place)


def _kept_in(name: str) -> t.Callable[[Place], Parameters]:
    return lambda place: _mallory(place, access_token_path=str(place.directory / name))


def _keep_token_of_another_account(place: Place) -> None:
    _prepare(place)
    _file(place, "others.token", f"{place.server.token}\n")


def _lead_to_a_file(place: Place) -> None:
    _keep_token_of_another_account(place)
    (place.directory / "link.token").symlink_to("others.token")


def _open_directory(place: Place) -> None:
    _prepare(place)
    _directory(place, "open", 0o777, os.geteuid())


def _foreign_directory(place: Place) -> None:
    _prepare(place)
    _directory(place, "foreign", 0o755, pwd.getpwnam("nobody").pw_uid)


# What Synapse refuses after it has compared the password, and what only PostgreSQL cannot store.
_IMPOSSIBLE: tuple[tuple[str, Parameters, str], ...] = (
    ("a long device ID", {"device_id": "d" * 513}, "device_id is longer than 512 characters"),
    ("a device ID with NUL", {"device_id": "d\0"}, "device_id .* contains the character NUL"),
    ("an empty device ID", {"device_id": ""}, "device_id is empty"),
    ("a long name of a device", {"device_display_name": "d" * 101}, "device_display_name is longer than 100 char"),
    ("a name of a device with NUL", {"device_display_name": "\0"}, "device_display_name .* contains the character NUL"),
    ("a long password", {"password": "p" * 513}, "password is longer than 512 characters"),
    ("a password with NUL", {"password": "p\0"}, "password contains the character NUL"),
)

_refusal = functools.partial(Refusal, module=_MODULE, prepare=_prepare, state=_state, token=False, secrets=_SECRETS)

REFUSALS = (
    _refusal(
        "an unreachable server",
        parameters=lambda place: _mallory(place, base_url="http://127.0.0.1:1"),
        message=r"failed: Connection refused\. Check that Synapse runs",
    ),
    _refusal(
        "the token file of another account",
        prepare=_keep_token_of_another_account,
        parameters=_kept_in("others.token"),
        message=r"others\.token belongs to @setup_admin.*not to @.*-mallory.*\. Use a separate token file",
    ),
    _refusal(
        "an account of another server",
        parameters=lambda place: _created(place, user_id="@mallory:other.test"),
        message=lambda place: rf"of the server other\.test, but this server is {re.escape(place.server.name)}",
    ),
    _refusal(
        "a name with capital letters",
        parameters=lambda place: _created(place, user_id=f"{place.unique}-Mallory"),
        message="-Mallory cannot be created, because Synapse does not create accounts with capital letters",
    ),
    _refusal(
        "a configuration without a secret",
        parameters=_configured("without_secret.yaml", 'server_name: "sqlite.test"\n'),
        message=r"create needs the registration_shared_secret .*but .*without_secret\.yaml does not set it",
    ),
    _refusal(
        "a configuration that does not exist",
        parameters=_configured("missing.yaml", None),
        message=r"missing\.yaml does not exist.*because create is true and registration_shared_secret is not set",
    ),
    _refusal(
        "a configuration that is not YAML",
        parameters=_configured("not_yaml.yaml", "registration_shared_secret: [very, secret\n"),
        message=r"not_yaml\.yaml is not valid YAML",
    ),
    _refusal(
        "a wrong shared secret",
        parameters=lambda place: _mallory(place, create=True, registration_shared_secret="wrong"),
        message="Synapse did not accept the registration_shared_secret",
    ),
    _refusal(
        "a new account with an underscore",
        parameters=lambda place: _created(place, user_id=f"_{place.unique}-mallory"),
        message="its name begins with _, which this server does not allow",
    ),
    _refusal(
        "a new account that belongs to an application service",
        parameters=_owned_name,
        message=r"-mallory:.* cannot be created: it is in an exclusive namespace .* service bridge \(.*/bridge\.yaml\)",
    ),
    _refusal(
        "a new account on a server that is disabled",
        parameters=_settings(hs_disabled=True),
        message=r"settings\.yaml disables this server \(hs_disabled\)",
    ),
    *(
        _refusal(name, parameters=functools.partial(_robot, **given), message=message)
        for name, given, message in _IMPOSSIBLE
    ),
    _refusal(
        "a token file in a directory that does not exist",
        parameters=_kept_in("missing/token"),
        message="directory .*/missing does not exist",
    ),
    _refusal(
        "a directory as token file",
        parameters=_kept_in("."),
        message=" cannot be read|is a directory",
    ),
    _refusal(
        "a user ID that is not valid",
        parameters=lambda place: _mallory(place, user_id="mal lory"),
        message="white space",
    ),
    _refusal(
        "a link to a token file",
        prepare=_lead_to_a_file,
        parameters=_kept_in("link.token"),
        message=r"link\.token is a symbolic link, which is not followed",
    ),
    _refusal(
        "neither a token nor a password",
        parameters=lambda place: _robot(place, password=None),
        message=r"no valid access token of @.*-robot:.* to reuse\. Set password to log in",
    ),
    _refusal(
        "to create an account that exists without its password",
        parameters=lambda place: _created(place, user_id=f"{place.unique}-robot", password=None),
        message="Set password to log in. create only sets a random password for an account that does not exist yet",
    ),
    _refusal(
        "neither a token nor an account",
        parameters=lambda place: {"access_token": "not_a_token", "access_token_path": str(place.directory / "token")},
        message=r"no valid access token to reuse\. Set user_id and password to log in",
    ),
    _refusal(
        "an account to create without its name",
        parameters=lambda place: _created(place, user_id=None),
        message=r"no valid access token to reuse\. Set user_id to log in",
    ),
    _refusal(
        "to log out without a token",
        parameters=lambda place: _mallory(place, state="absent"),
        message="state is absent but any of the following are missing: access_token, access_token_path",
    ),
    _refusal(
        "to log out an empty token",
        parameters=lambda place: _mallory(place, access_token="", state="absent"),
        message="state=absent needs a token to log out, but access_token and access_token_path are empty",
    ),
    _refusal(
        "to log out one of two tokens",
        parameters=lambda place: {**_kept_in("some.token")(place), "access_token": "syt_some", "state": "absent"},
        message="state=absent logs out one token, but both access_token and access_token_path are set.*empty string",
    ),
    _refusal(
        "to log out another account",
        parameters=lambda place: _mallory(place, access_token=place.server.token, state="absent"),
        message="The value of access_token belongs to @setup_admin.*not to @.*-mallory.*Set the token of this account",
    ),
    _refusal(
        "to log out another account by its token file",
        prepare=_keep_token_of_another_account,
        parameters=lambda place: {**_kept_in("others.token")(place), "state": "absent"},
        message=r"others\.token belongs to @setup_admin.*not to @.*-mallory",
    ),
)
# Only root requires that other users cannot write to the directory.
REFUSALS_OF_ROOT = (
    _refusal(
        "a token file in a directory that every user may write to",
        prepare=_open_directory,
        parameters=_kept_in("open/token"),
        message="every user may write to .*/open, and could exchange what root writes there",
    ),
    _refusal(
        "a token file in a directory of another user",
        prepare=_foreign_directory,
        parameters=_kept_in("foreign/token"),
        message="/foreign belongs to nobody, who could exchange what root writes there",
    ),
)


@dataclasses.dataclass(frozen=True)
class _Unforeseen:
    """What only a run can notice, such as a wrong password. Check mode does not log in."""

    name: str
    parameters: t.Callable[[Place], Parameters]
    message: str
    prepare: t.Callable[[Place], object] = nothing


UNFORESEEN = (
    _Unforeseen(
        "an account that does not exist", _mallory, "403 M_FORBIDDEN.*the account .*-mallory does not exist or"
    ),
    _Unforeseen(
        "a wrong password",
        lambda place: _robot(place, password="mallory secret"),
        "403 M_FORBIDDEN.*or the password is wrong",
    ),
    _Unforeseen(
        "a locked account",
        _robot,
        "401 M_USER_LOCKED.*is locked.*locked: false.*The account that logs in is .*-robot",
        lambda place: place.server.write("UPDATE users SET locked = ? WHERE name = ?", True, place.user("robot")),
    ),
    _Unforeseen(
        "a deactivated account",
        _robot,
        "403 M_.*deactivated",
        lambda place: place.server.send("POST", f"/_synapse/admin/v1/deactivate/{place.user('robot')}", {}),
    ),
    _Unforeseen(
        "an account that exists and is not an admin",
        lambda place: _robot(place, create=True, admin=True, config_path=place.server.config_path),
        "already exists and is not a server admin.*synapse_admin_user",
    ),
    _Unforeseen(
        "an account that is not an admin, without create",
        lambda place: _robot(place, admin=True, access_token_path=str(place.directory / "robot.token")),
        "is not a server admin, but admin is true. Make it a server admin with synapse_admin_user",
    ),
    _Unforeseen(
        "a token file in a directory where no user can write",
        lambda place: _robot(place, access_token_path="/proc/token"),
        "/proc/token .*written.*The new access token was logged out again",
    ),
)


@pytest.mark.parametrize("case", named((*REFUSALS, *(() if os.geteuid() else REFUSALS_OF_ROOT))))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in UNFORESEEN])
def test_refused_by_a_run_alone(place: Place, case: _Unforeseen) -> None:
    """Check mode does not log in and predicts a change. The run is refused and changes nothing."""
    _prepare(place)
    case.prepare(place)
    parameters, before = case.parameters(place), _state(place)
    predicted, done = (play(place, _MODULE, parameters, token=False, check=check) for check in (True, False))
    assert not predicted.get("failed"), predicted
    assert predicted["changed"]
    assert done["failed"]
    assert not done["changed"]
    assert re.search(case.message, done["msg"]), done["msg"]
    assert not re.search("\n|Traceback", done["msg"]), done["msg"]
    assert not [secret for secret in (*place.server.secrets, *_SECRETS) if secret in str((predicted, done))]
    assert _state(place) == before
