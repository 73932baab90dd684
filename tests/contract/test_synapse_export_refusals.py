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
    """Return what declares an export of an account that is there; a function makes its value of the place."""

    def parameters(place: Place) -> Parameters:
        made = {name: value(place) if callable(value) else value for name, value in declared.items()}
        return declare(place, **{"user_id": place.user("returning"), **made})

    return parameters


def _user(word: str) -> t.Callable[[Place], str]:
    return lambda place: f"{place.unique}-{word}"


def _below(name: str) -> t.Callable[[Place], str]:
    return lambda place: f"{exports(place)}/{name}"


def _configured(content: str, name: str) -> t.Callable[[Place], list[str]]:
    """Return what writes another file of the configuration, where {exports} stands for the directory of the exports."""

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


_API = {"media": True, "media_source": "api"}
_refusal = functools.partial(Refusal, module=MODULE, state=look, prepare=_make_account)

REFUSALS = (
    _refusal(
        "two places",
        parameters=_declare(destination=_below("one"), destination_directory=_below("many")),
        message=r"mutually exclusive: destination\|destination_directory",
    ),
    _refusal(
        "an account that does not exist",
        parameters=_declare(user_id=_user("nobody")),
        message=lambda place: f"@{place.unique}-nobody:{place.server.name} does not exist",
    ),
    _refusal(
        "an account in other letters",
        parameters=_declare(user_id=_user("Returning")),
        message=lambda place: (
            f"@{place.unique}-Returning:{place.server.name} does not exist .*is {place.user('returning')} meant"
        ),
    ),
    _refusal(
        "an account of another server",
        parameters=_declare(user_id="@returning:other.test"),
        message=lambda place: rf"of the server other\.test, but this server is {place.server.name}",
    ),
    _refusal(
        "something that is no user id",
        parameters=_declare(user_id="re turning"),
        message="white space",
    ),
    _refusal(
        "an access token that is not valid any more",
        parameters=_declare(media=True, access_token="syt_old_and_rotated"),
        message="401 M_UNKNOWN_TOKEN.*get a new one",
    ),
    _refusal(
        "media from a server that is not there",
        parameters=_declare(**_API, base_url="http://127.0.0.1:1"),
        message="http://127.0.0.1:1/.* failed: Connection refused",
    ),
    _refusal(
        "media from a server without a token",
        parameters=_declare(**_API, access_token=""),
        message="Without an access token, the server gives no media away",
    ),
    _refusal(
        "media from a media store that is not there",
        parameters=_declare(
            media=True,
            media_source="store",
            config_path=_configured("media_store_path: '{exports}/missing_store'\n", "no_store.yaml"),
        ),
        message="The media store .*/missing_store cannot be read",
    ),
    _refusal(
        "an age that is none",
        parameters=_declare(max_age="a while"),
        message="max_age 'a while' is not a time",
    ),
    _refusal(
        "nothing at the same time",
        parameters=_declare(parallel=0),
        message="parallel must be at least 1",
    ),
    _refusal(
        "a directory where an archive shall be",
        parameters=_declare(destination="foreign.zip", archive="zip"),
        message="/foreign.zip is not a file",
        prepare=_directories("foreign.zip"),
    ),
    _refusal(
        "a directory that holds something else",
        parameters=_declare(destination="foreign", force=True),
        message="/foreign holds something that is not an export.*left alone",
        prepare=_directories("foreign", "foreign/rooms"),
    ),
    _refusal(
        "a file",
        parameters=_declare(destination="file"),
        message="/file is not a directory",
        prepare=_file,
    ),
    _refusal(
        "a link to a directory",
        parameters=_declare(destination="link"),
        message="/link is not a directory",
        prepare=_link,
    ),
    _refusal(
        "a directory in one that does not exist",
        parameters=_declare(destination="missing/export"),
        message="the directory .*/exports/missing does not exist, create it first",
    ),
    _refusal(
        "a directory of the system",
        parameters=lambda place: {**_declare()(place), "destination": "/etc/export"},
        message="destination /etc/export cannot be used: /etc is",
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
        message="homeserver.db in .*/relative.yaml has a relative path.*chdir",
    ),
    _refusal(
        "a working directory that does not exist",
        parameters=_declare(chdir=_below("missing")),
        message="chdir .*/missing is not a directory",
    ),
    _refusal(
        "a database that does not exist",
        parameters=_declare(
            config_path=_configured(_ELSEWHERE.replace("homeserver", "{exports}/missing"), "missing.yaml")
        ),
        message="/missing.db does not exist",
    ),
    _refusal(
        "a database that nobody serves",
        parameters=_declare(config_path=_configured(_UNREACHABLE, "unreachable.yaml")),
        message="database x at 127.0.0.1 cannot be reached: .*Connection refused.*See whether PostgreSQL runs",
    ),
    _refusal(
        "a signing key that cannot be read",
        parameters=_declare(config_path=_configured("signing_key_path: '{exports}/missing.key'\n", "no_key.yaml")),
        message="missing.key, which .*/no_key.yaml names, cannot be read",
    ),
    _refusal(
        "a Python that does not exist",
        parameters=_declare(synapse_python=_below("python")),
        message="synapse_python .*/python cannot be run: No such file",
    ),
    _refusal(
        "a program that is no Synapse",
        parameters=_declare(synapse_python=_no_synapse),
        message="synapse_python .*/no_synapse has no Synapse",
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
    # Only Synapse itself knows that, so check mode cannot tell.
    assert play(place, MODULE, declared, check=True)["changed"]
    results = [play(place, MODULE, declared) for _time in range(2)]
    assert results[0]["msg"] == results[1]["msg"]
    for result in results:
        assert result.get("failed"), result
        assert re.search(rf"export of {place.user('returning')} failed: .*See whether config_path", result["msg"])
        assert not result["changed"]
        assert not re.search(r"\n|Traceback", result["msg"])
        assert not any(secret in str(result) for secret in (*place.server.secrets, *_database_passwords(place)))
    assert look(place) == before
