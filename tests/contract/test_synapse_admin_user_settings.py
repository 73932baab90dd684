# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server refuses because of its settings: known before, by questions to the server and by its configuration."""

from __future__ import annotations

import functools
import json
import re
import secrets
import typing as t
import urllib.request
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.admin_user_cases import (
    MODULE,
    declare,
    declaring,
    look,
    own_accounts,
    prove_by_admin,
    prove_refused,
)
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place, State
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    named,
    play,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.server import Server

_LARGEST = 100
_SETTINGS = {
    "password_config": {"enabled": False},
    "user_types": {"extra_user_types": ["partner"]},
    "max_avatar_size": f"{_LARGEST}",
    "allowed_avatar_mimetypes": ["image/png"],
    "server_notices": {"system_mxid_localpart": "notices"},
}
_PASSWORD = "settings secret"


@pytest.fixture(
    scope="module",
    params=[pytest.param(engine, marks=pytest.mark.xdist_group(f"settings on {engine}")) for engine in servers.ENGINES],
)
def own_server(request: pytest.FixtureRequest) -> t.Iterator[Server]:
    """A server on each engine that allows no passwords, limits avatars, and knows one more type of users."""
    with servers.own_servers(request.param) as started:
        server = started[0]
        # The setup logs in, so the settings are changed after it. JSON is valid YAML.
        (Path(server.directory) / "conf.d" / "settings.yaml").write_text(json.dumps(_SETTINGS))
        servers.restart(server)
        yield server


@pytest.fixture
def place(own_server: Server, tmp_path: Path) -> Place:
    """Where one case takes place."""
    return Place(own_server, f"c{secrets.token_hex(4)}", tmp_path)


def _upload(place: Place, kind: str, size: int) -> str:
    """Upload a picture and return its URI."""
    request = urllib.request.Request(
        f"{place.server.base_url}/_matrix/media/v3/upload",
        b"p" * size,
        {"Authorization": f"Bearer {place.server.token}", "Content-Type": kind},
    )
    with urllib.request.urlopen(request) as response:
        return str(json.load(response)["content_uri"])


def _somebody(place: Place) -> None:
    place.server.make_account(f"{place.unique}-somebody")


def _gone(place: Place) -> None:
    _somebody(place)
    place.server.send("POST", f"/_synapse/admin/v1/deactivate/{place.user('somebody')}", {})


def _with_picture(kind: str, size: int) -> t.Callable[[Place], None]:
    def prepare(place: Place) -> None:
        _somebody(place)
        place.ids["picture"] = _upload(place, kind, size)

    return prepare


def _declaring_picture(word: str) -> t.Callable[[Place], Parameters]:
    return lambda place: declare(place, word, avatar_url=place.ids["picture"], config_path=place.server.config_path)


def _state(place: Place) -> State:
    return look(place, "somebody")


def _missing(place: Place) -> Parameters:
    picture = f"mxc://{place.server.name}/missing"
    return declare(place, "somebody", avatar_url=picture, config_path=place.server.config_path)


def _of_another_server(place: Place) -> list[str]:
    path = place.directory / "other.yaml"
    path.write_text("server_name: other.test\n")
    return [str(path)]


def _declaring_notices(given: Parameters) -> t.Callable[[Place], Parameters]:
    return lambda place: {
        "user_id": "notices",
        "password": _PASSWORD,
        "config_path": place.server.config_path,
        **given,
    }


_refusal = functools.partial(Refusal, module=MODULE, prepare=_somebody, state=own_accounts, secrets=(_PASSWORD,))
_NO_PASSWORDS = "password of @.*-somebody:.* cannot be set: this server does not allow passwords"
_NO_TYPE = "does not know the user type 'nonsense'"

REFUSALS = (
    _refusal(
        "the password of an existing account",
        parameters=declaring("somebody", password=_PASSWORD, update_password="always"),
        message=_NO_PASSWORDS,
    ),
    _refusal(
        "the password of an account that is reactivated",
        prepare=_gone,
        parameters=declaring("somebody", password=_PASSWORD),
        message=_NO_PASSWORDS,
    ),
    _refusal("an unknown type", parameters=declaring("somebody", user_type="nonsense"), message=_NO_TYPE),
    _refusal("an unknown type of a new account", parameters=declaring("m", user_type="nonsense"), message=_NO_TYPE),
    _refusal(
        "an unknown type of the first admin",
        parameters=lambda place: declare(
            place,
            "first",
            admin=True,
            bootstrap_admin=True,
            password=_PASSWORD,
            user_type="nonsense",
            config_path=place.server.config_path,
        ),
        token=False,
        message=_NO_TYPE,
    ),
    _refusal(
        "a first admin with an underscore",
        parameters=lambda place: declare(
            place,
            "first",
            user_id=f"_{place.unique}",
            admin=True,
            bootstrap_admin=True,
            password=_PASSWORD,
            config_path=place.server.config_path,
        ),
        token=False,
        message="its name begins with _, which this server does not allow",
    ),
    _refusal(
        "a first admin with a wrong secret",
        parameters=lambda place: declare(
            place,
            "first",
            admin=True,
            bootstrap_admin=True,
            password=_PASSWORD,
            registration_shared_secret="wrong",
            config_path=place.server.config_path,
        ),
        token=False,
        message="Synapse did not accept the registration_shared_secret",
    ),
    _refusal(
        "a new account with an underscore",
        parameters=lambda place: declare(place, "m", user_id=f"_{place.unique}-m"),
        message="User ID may not begin with _.*allow_underscore_prefixed_localpart.*set that to true and restart",
    ),
    _refusal(
        "the account of the notices",
        parameters=lambda place: declare(place, "m", user_id="notices"),
        message="@notices:.* cannot be created: This user ID is reserved.*server_notices.*Choose another user ID",
    ),
    *(
        _refusal(
            f"the account of the notices with {module}",
            module=module,
            parameters=_declaring_notices(given),
            token=False,
            message=r"@notices:.* cannot be created: this server sends .*\(server_notices in \S+/settings\.yaml\)",
        )
        for module, given in (
            (MODULE, {"admin": True, "bootstrap_admin": True}),
            ("synapse_access_token", {"create": True}),
        )
    ),
    _refusal(
        "the configuration of another server",
        parameters=lambda place: declare(place, "m", config_path=_of_another_server(place)),
        message=r"config_path is the configuration of the server other\.test, but the server that answers is",
    ),
    _refusal("a picture that was not uploaded", parameters=_missing, message="/missing is not on this server"),
    *(
        _refusal(
            f"{what} of {word}",
            prepare=_with_picture(kind, size),
            parameters=_declaring_picture(word),
            message=message,
        )
        for what, kind, size, message in (
            ("a large picture", "image/png", _LARGEST + 1, r"is larger than max_avatar_size \(100 bytes\)"),
            ("a picture of another kind", "image/gif", 9, "is of the type image/gif, which is not in allowed_avatar"),
        )
        for word in ("somebody", "mallory")
    ),
)

_change = functools.partial(Expectation, module=MODULE, prepare=_somebody, state=_state)

EXPECTATIONS = (
    _change(
        "a type of the configuration",
        parameters=declaring("somebody", user_type="partner"),
        shows=lambda _place: {"user_type": "partner"},
    ),
    _change(
        "a picture that complies with the limits",
        prepare=_with_picture("image/png", _LARGEST),
        parameters=_declaring_picture("somebody"),
        shows=lambda place: {"avatar_url": place.ids["picture"]},
    ),
    _change(
        "a password that is only for a new account",
        parameters=declaring("somebody", password=_PASSWORD, display_name="Somebody"),
        shows=lambda _place: {"displayname": "Somebody"},
    ),
)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refused(place, case)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_declared(place: Place, case: Expectation) -> None:
    prove_by_admin(place, case)


def test_each_account_of_a_list_has_its_own_refusal(place: Place) -> None:
    _somebody(place)
    given = {"access_token": place.server.token, "config_path": place.server.config_path}
    somebody = {"user_id": place.user("somebody"), "password": _PASSWORD, "update_password": "always"}
    users = [somebody, {"user_id": place.user("m"), "user_type": "nonsense"}]
    case = Refusal(
        "a list",
        module="synapse_admin_users",
        parameters=lambda _place: {**given, "users": users},
        message=f"2 of 2 accounts are not as declared .*{_NO_PASSWORDS}.*{_NO_TYPE}",
        state=own_accounts,
        secrets=(_PASSWORD,),
    )
    prove_refusal(place, case)


def test_synapse_itself_refuses_all_that(place: Place) -> None:
    """What is refused here before is what Synapse would refuse."""
    _with_picture("image/gif", 9)(place)
    gif, large = place.ids["picture"], _upload(place, "image/png", _LARGEST + 1)
    path = f"/_synapse/admin/v2/users/{place.user('somebody')}"
    refused: tuple[tuple[dict[str, t.Any], int, str], ...] = (
        ({"password": _PASSWORD}, 403, "Password change disabled"),
        ({"user_type": "nonsense"}, 400, "Invalid user type"),
        ({"avatar_url": f"mxc://{place.server.name}/missing"}, 403, "This avatar is not allowed"),
        ({"avatar_url": large}, 403, "This avatar is not allowed"),
        ({"avatar_url": gif}, 403, "This avatar is not allowed"),
    )
    for body, status, said in refused:
        assert place.server.ask("PUT", path, body)[0] == status, body
        assert place.server.ask("PUT", path, body)[1]["error"] == said, body


def test_without_the_configuration_only_the_attempt_shows_the_limits_of_avatars(place: Place) -> None:
    _with_picture("image/gif", 9)(place)
    parameters = declare(place, "somebody", avatar_url=place.ids["picture"])
    predicted, done = (play(place, MODULE, parameters, check=check) for check in (True, False))
    assert predicted["changed"]
    assert done["failed"]
    assert not done["changed"]
    said = r"403 M_FORBIDDEN: This avatar is not allowed\)\. .*max_avatar_size and allowed_avatar_mimetypes.* Upload"
    assert re.search(said, done["msg"]), done["msg"]
