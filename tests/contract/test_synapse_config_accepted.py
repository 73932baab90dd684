# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values that Synapse's own parser refuses, in check mode and in a run; and what it only would create. No Synapse
is started.
"""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import (
    OWN_NAME,
    unstarted,
    write,
    write_beside,
    write_configuration,
)
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    named,
    prove,
    prove_refusal,
)
from ansible_collections.matrix_ops.synapse.tests.contract.parsed_configuration import (
    KEY,
    LOG,
    expectation,
    refusal,
    say,
    with_files,
    write_accepted,
)

_MANY = "hush-" + "x" * 100_000


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return unstarted(tmp_path)


def _unkeyed(place: Place) -> None:
    """Write the configuration of a server that has never been started, and so has no key."""
    write_configuration(place)
    write_beside(
        place,
        {
            "00-paths.yaml": f"media_store_path: {place.directory}\ntrusted_key_servers: []\n"
            "database: {name: sqlite3, args: {database: ':memory:'}}\n"
        },
    )


def _keyed_beside_main(place: Place) -> None:
    """Write a configuration of one file, with the signing key where Synapse looks for it, and no drop-in yet."""
    main, directory = map(Path, place.server.config_path)
    directory.mkdir(mode=0o700)
    write(
        main,
        f"server_name: {place.server.name}\nreport_stats: false\nmedia_store_path: {place.directory}\n"
        "database: {name: sqlite3, args: {database: ':memory:'}}\n",
    )
    write(place.directory / f"{place.server.name}.signing.key", KEY)


def _with_log(text: str) -> t.Callable[[Place], None]:
    def prepare(place: Place) -> None:
        write_accepted(place)
        write(place.directory / "log.yaml", text)

    return prepare


def _say_log(name: str) -> t.Callable[[Place], Parameters]:
    return lambda place: say(settings={"log_config": f"{place.directory}/{name}"})(place)


def _set(name: str, message: str, settings: dict[str, t.Any], **parameters: t.Any) -> Refusal:
    """Refuse these settings with the words of Synapse."""
    return refusal(name, parameters=say(settings=settings, **parameters), message=message)


REFUSALS = (
    _set("a size that is none", r"^The settings were not applied \(max_upload_size\)", {"max_upload_size": "lots"}),
    _set(
        "two of the three settings of autotuning",
        r"cache_autotuning.*and nothing has changed",
        {"caches": {"cache_autotuning": {"max_cache_memory_usage": "1G", "target_cache_memory_usage": "800M"}}},
    ),
    _set(
        "text for a boolean",
        r"presence\.enabled in .*/50-own\.yaml is the text",
        {"presence": {"enabled": "false"}},
    ),
    _set(
        "a block without what was in it",
        r"/50-own\.yaml replaces the whole database block of .*/00-paths\.yaml",
        {"database": {"args": {"cp_max": 30}}},
    ),
    _set("a secret of digits", "registration_shared_secret in .* in quotes", {"registration_shared_secret": 123456789}),
    _set("text for a number", r"caches\.global_factor must be a number", {"caches": {"global_factor": "3"}}),
    _set("listeners that are none", "and nothing has changed", {"listeners": "nonsense"}),
    _set(
        "a listener of an unknown type",
        "'metrics', 'manhole', 'http'",
        {"listeners": [{"port": 8008, "type": "nonsense"}]},
    ),
    _set("a port that is none", "and nothing has changed", {"listeners": [{"port": "many", "type": "http"}]}),
    _set("a database that no driver has", "nonsense", {"database": {"name": "nonsense", "args": {}}}),
    _set("no database at all", "and nothing has changed", {"database": None}),
    _set("a duration that is none", "and nothing has changed", {"user_ips_max_age": "lately"}),
    _set("a module that is not installed", "no_such_module", {"modules": [{"module": "no_such_module.Thing"}]}),
    _set("an application service without its file", "no_such_file", {"app_service_config_files": ["/no_such_file"]}),
    _set("a path with NUL", "and nothing has changed", {"media_store_path": "/srv/a\0b"}),
    _set("a directory below a file", "homeserver.yaml/media", {"media_store_path": "homeserver.yaml/media"}),
    _set("a value that is huge", "and nothing has changed", {"max_upload_size": "9" * 100_000}),
    refusal(
        "secrets that Synapse would quote",
        parameters=say(secrets={"max_upload_size": 'hush" \\ hush', "listeners": "hush\nhush'"}),
        message="and nothing has changed",
    ),
    refusal(
        "a long secret that Synapse would cut",
        parameters=say(settings={"media_store_path": "x"}, secrets={"listeners": [{"port": _MANY, "type": "http"}]}),
        message="and nothing has changed",
    ),
    refusal(
        "a setting whose file only exists for somebody else",
        parameters=say(settings={"macaroon_secret_key": None, "macaroon_secret_key_path": "/no_such_file"}),
        message=r"macaroon_secret_key_path: Error accessing file '/no_such_file'",
    ),
    _set(
        "a log configuration that cannot be made",
        "log_config .*No such file",
        {"log_config": "/no_such_place/log.yaml"},
    ),
    *(
        refusal(
            f"a log configuration with {name}", prepare=_with_log(text), parameters=_say_log("log.yaml"), message=says
        )
        for name, text, says in (
            ("a handler that does not exist", "{version: 1, root: {handlers: [none]}}", "log_config .*'none'"),
            ("an unknown level", "{version: 1, root: {level: INFOO}}", "log_config .*Unknown level: 'INFOO'"),
            ("no version", "{root: {level: INFO}}", "log_config .*version"),
            ("a file in no directory", LOG.replace("new.log", "/no_such_place/a.log"), "log_config .*No such file"),
        )
    ),
    refusal(
        "a secret of another file that is no text",
        prepare=with_files(**{"10-early": "form_secret: 2026-01-01 10:00:00\n"}),
        parameters=say(settings={"presence": {"enabled": False}}),
        message=r"form_secret in .*/10-early\.yaml is a date for YAML.* Put it in quotes there.* This is not due to",
    ),
    refusal(
        "a secret of another file that is no text, without the parser",
        prepare=with_files(**{"10-early": "form_secret: 2026-01-01 10:00:00\n"}),
        parameters=say(settings={"presence": {"enabled": False}}, validate="never"),
        message=r"form_secret in .*/10-early\.yaml is a date for YAML.* This is not due to",
    ),
    refusal(
        "a configuration that was refused before",
        prepare=with_files(**{"00-wrong": "caches: {global_factor: hardly}\n"}),
        parameters=say(settings={"presence": {"enabled": False}}),
        message=r"^Synapse cannot start .*must be a number\..* This is not due to the change of .*/50-own\.yaml, which"
        " was not made: the earlier configuration has the same fault, and nothing has changed",
    ),
    refusal(
        "a signing key that would no longer be found",
        prepare=_keyed_beside_main,
        parameters=say(settings={"presence": {"enabled": False}}),
        message=r"Synapse would no longer use its signing key .*/unstarted\.test\.signing\.key, but make a new one at"
        r" .*/conf\.d/unstarted\.test\.signing\.key, .* Set signing_key_path to .* in the configuration first",
    ),
    refusal(
        "a value from an earlier file, by merge",
        prepare=with_files(**{"10-early": "caches: {expire_caches: false, global_factor: hardly}\n"}),
        parameters=say(settings={"caches": {"expire_caches": True}}, merge=True),
        message=r"global_factor",
    ),
)
ACCEPTED = (
    expectation(
        "directories that Synapse would create",
        parameters=lambda place: say(
            settings={
                "media_store_path": "new/media",
                "media_storage_providers": [
                    {"module": "file_system", "config": {"directory": f"{place.directory}/more/media"}}
                ],
            }
        )(place),
    ),
    expectation("a signing key that Synapse would make", prepare=_unkeyed, parameters=say(settings={"presence": {}})),
    expectation(
        "a secret that Synapse would make",
        prepare=_unkeyed,
        parameters=say(settings={"registration_shared_secret": None, "registration_shared_secret_path": "secret"}),
    ),
    expectation("a log configuration that Synapse would make", parameters=_say_log("new.yaml")),
    expectation("a log configuration", prepare=_with_log(LOG), parameters=_say_log("log.yaml")),
    expectation(
        "files that are given twice",
        prepare=with_files(**{OWN_NAME: "log_config: /no_such_place/log.yaml\n"}),
        parameters=lambda place: say(
            config_path=[path for path in place.server.config_path for _time in range(2)],
            settings={"presence": {}},
            force=True,
        )(place),
    ),
    expectation(
        "without the directory in which Synapse runs",
        parameters=say(settings={"media_store_path": "no_such_media"}, working_directory=None),
    ),
    expectation(
        "text with odd characters", parameters=say(settings={"admin_contact": "mailto:\u2028\U0001f600'\"\\ "})
    ),
)


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)


@pytest.mark.parametrize("case", named(ACCEPTED))
def test_accepted(place: Place, case: Expectation) -> None:
    before = set(os.listdir(place.directory))
    prove(place, case)
    created = set(os.listdir(place.directory)) - before
    assert created <= {"conf.d", "homeserver.yaml", "signing.key", "log.yaml"}
