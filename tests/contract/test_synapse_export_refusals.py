# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_export refuses, before anything is written."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Parameters,
    Refusal,
    named,
    play,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.export_proof import MODULE, declare, exports, look

_ELSEWHERE = "database: {name: sqlite3, args: {database: homeserver.db}}\n"
_UNREACHABLE = "database: {name: psycopg2, args: {host: 127.0.0.1, port: 1, dbname: x}}\n"


def _make_account(place: Place) -> None:
    place.server.make_account(f"{place.unique}-returning")


def _declare(**declared: t.Any) -> t.Callable[[Place], Parameters]:
    """Return a function that declares an export of an existing account. Values can be functions of the place."""

    def parameters(place: Place) -> Parameters:
        made = {name: value(place) if callable(value) else value for name, value in declared.items()}
        return declare(place, **{"user_id": place.user("returning"), **made})

    return parameters


def _user(word: str) -> t.Callable[[Place], str]:
    return lambda place: f"{place.unique}-{word}"


def _below(name: str) -> t.Callable[[Place], str]:
    return lambda place: f"{exports(place)}/{name}"


def _configured(content: str, name: str) -> t.Callable[[Place], list[str]]:
    """Return a function that writes another configuration file. {exports} is the directory of the exports."""

    def config_path(place: Place) -> list[str]:
        path = place.directory / name
        path.write_text(content.replace("{exports}", str(exports(place))))
        return [*place.server.config_path, str(path)]

    return config_path


def _no_synapse(place: Place) -> str:
    program = place.directory / "no_synapse"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o700)
    return str(program)


def _directories(*names: str) -> t.Callable[[Place], None]:
    def prepare(place: Place) -> None:
        _make_account(place)
        for name in names:
            (exports(place) / name).mkdir(mode=0o700)

    return prepare


def _file(place: Place) -> None:
    _make_account(place)
    (exports(place) / "file").write_text("")


def _link(place: Place) -> None:
    _directories("foreign")(place)
    (exports(place) / "link").symlink_to("foreign")


_API = {"media": True, "media_source": "client_api"}
_refusal = functools.partial(Refusal, module=MODULE, state=look, prepare=_make_account)

REFUSALS = (
    _refusal(
        "two places",
        parameters=_declare(dest=_below("one"), dest_directory=_below("many")),
        message=r"mutually exclusive: dest\|dest_directory",
    ),
    _refusal(
        "an account that does not exist",
        parameters=_declare(user_id=_user("nobody")),
        message=lambda place: f"@{place.unique}-nobody:{place.server.name} does not exist",
    ),
    _refusal(
        "an account in another case",
        parameters=_declare(user_id=_user("Returning")),
        message=lambda place: (
            f"@{place.unique}-Returning:{place.server.name} does not exist .*Did you mean {place.user('returning')}"
        ),
    ),
    _refusal(
        "an account of another server",
        parameters=_declare(user_id="@returning:other.test"),
        message=lambda place: rf"of the server other\.test, but this server is {place.server.name}",
    ),
    _refusal(
        "something that is not a user ID",
        parameters=_declare(user_id="re turning"),
        message="white space",
    ),
    _refusal(
        "an access token that is not valid any more",
        parameters=_declare(media=True, access_token="syt_old_and_rotated"),
        message="401 M_UNKNOWN_TOKEN.*get a new one",
    ),
    _refusal(
        "media from a server that does not run",
        parameters=_declare(**_API, base_url="http://127.0.0.1:1"),
        message="http://127.0.0.1:1/.* failed: Connection refused",
    ),
    _refusal(
        "media from a server without a token",
        parameters=_declare(**_API, access_token=""),
        message="client_api requires an access token",
    ),
    _refusal(
        "media from a media store that does not exist",
        parameters=_declare(
            media=True,
            media_source="media_store",
            config_path=_configured("media_store_path: '{exports}/missing_store'\n", "no_store.yaml"),
        ),
        message="The media store .*/missing_store cannot be read",
    ),
    _refusal(
        "an age that is not a duration",
        parameters=_declare(max_age="a while"),
        message="max_age 'a while' is not a duration.* followed by s, m, h, d or w",
    ),
    _refusal(
        "no parallel fetch",
        parameters=_declare(parallel=0),
        message="parallel is 0. Set it to a number from 1 to 64",
    ),
    _refusal(
        "too many parallel fetches",
        parameters=_declare(parallel=65),
        message="parallel is 65. Set it to a number from 1 to 64",
    ),
    _refusal(
        "a negative time for the command",
        parameters=_declare(export_timeout=-1),
        message="export_timeout is -1. Set it to a number of seconds from 1 to 31622400, or to 0 for no limit",
    ),
    _refusal(
        "a time that is too long for the timers of the system",
        parameters=_declare(export_timeout=31622401),
        message="export_timeout is 31622401",
    ),
    _refusal(
        "a directory at the path of an archive",
        parameters=_declare(dest="foreign.zip", format="zip"),
        message="/foreign.zip is not a file",
        prepare=_directories("foreign.zip"),
    ),
    _refusal(
        "a directory that holds something else",
        parameters=_declare(dest="foreign", recreate=True),
        message="/foreign contains something that is not an export.*not changed",
        prepare=_directories("foreign", "foreign/rooms"),
    ),
    _refusal(
        "a file",
        parameters=_declare(dest="file"),
        message="/file is not a directory",
        prepare=_file,
    ),
    _refusal(
        "a link to a directory",
        parameters=_declare(dest="link"),
        message="/link is not a directory",
        prepare=_link,
    ),
    _refusal(
        "a directory in one that does not exist",
        parameters=_declare(dest="missing/export"),
        message="the directory .*/exports/missing does not exist, create it first",
    ),
    _refusal(
        "a directory of the system",
        parameters=lambda place: {**_declare()(place), "dest": "/etc/export"},
        message="dest /etc/export cannot be used: /etc is",
    ),
    _refusal(
        "a configuration that does not exist",
        parameters=_declare(config_path=lambda place: [_below("missing.yaml.yaml")(place)]),
        message="missing.yaml.yaml does not exist",
    ),
    _refusal(
        "the configuration of a worker",
        parameters=_declare(config_path=_configured("worker_app: synapse.app.generic_worker\n", "worker.yaml")),
        message="/worker.yaml is the configuration of a worker",
    ),
    _refusal(
        "a database at a relative path",
        parameters=_declare(config_path=_configured(_ELSEWHERE, "relative.yaml")),
        message="homeserver.db in .*/relative.yaml has a relative path.*working_directory",
    ),
    _refusal(
        "a working directory that does not exist",
        parameters=_declare(working_directory=_below("missing")),
        message="working_directory .*/missing is not a directory",
    ),
    _refusal(
        "a database that does not exist",
        parameters=_declare(
            config_path=_configured(_ELSEWHERE.replace("homeserver", "{exports}/missing"), "missing.yaml")
        ),
        message="/missing.db does not exist",
    ),
    _refusal(
        "a database without a server",
        parameters=_declare(config_path=_configured(_UNREACHABLE, "unreachable.yaml")),
        message="database x at 127.0.0.1 cannot be reached: .*Connection refused.*Check that PostgreSQL runs",
    ),
    _refusal(
        "a signing key that cannot be read",
        parameters=_declare(config_path=_configured("signing_key_path: '{exports}/missing.key'\n", "no_key.yaml")),
        message="missing.key, which is set in .*/no_key.yaml, cannot be read",
    ),
    _refusal(
        "a Python that does not exist",
        parameters=_declare(synapse_python=_below("python")),
        message="synapse_python .*/python cannot be run: No such file",
    ),
    _refusal(
        "a program that is not Synapse",
        parameters=_declare(synapse_python=_no_synapse),
        message="synapse_python .*/no_synapse does not have Synapse installed",
    ),
)


def _database_passwords(place: Place) -> list[str]:
    """Return the passwords of the database in the configuration: none with SQLite."""
    return re.findall(r"^ +password: (\S+)$", Path(place.server.config_path[0]).read_text(), re.MULTILINE)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    passwords = _database_passwords(place)
    assert bool(passwords) is (place.server.engine == "postgresql")
    prove_refusal(place, dataclasses.replace(case, secrets=tuple(passwords)))


def test_configuration_that_only_synapse_refuses(place: Place) -> None:
    _make_account(place)
    declared = _declare(config_path=_configured("max_upload_size: many\n", "refused.yaml"))(place)
    before = look(place)
    # Only Synapse itself detects that, so check mode does not.
    assert play(place, MODULE, declared, check=True)["changed"]
    results = [play(place, MODULE, declared) for _time in range(2)]
    assert results[0]["msg"] == results[1]["msg"]
    for result in results:
        assert result.get("failed"), result
        assert re.search(rf"export of {place.user('returning')} failed: .*Check that config_path", result["msg"])
        assert not result["changed"]
        assert not re.search(r"\n|Traceback", result["msg"])
        assert not any(secret in str(result) for secret in (*place.server.secrets, *_database_passwords(place)))
    assert look(place) == before
