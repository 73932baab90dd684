# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_config_info returns for the configurations of running servers, and for others."""

from __future__ import annotations

import functools
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import (
    SynapseReader,
    look_at_configuration,
    look_at_files,
    synapse_reader,
    unstarted,
    without_server,
    write,
    write_beside,
    write_configuration,
)
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Parameters,
    Refusal,
    Result,
    named,
    prove,
    prove_refusal,
)

_HIDDEN = "(hidden)"
_MEDIA = "media_store_path: media\nbackup_media_store_path: /srv/backup\n"


@pytest.fixture(scope="module")
def reader() -> t.Iterator[SynapseReader]:
    with synapse_reader() as started:
        yield started


@pytest.fixture
def unstarted_place(tmp_path: Path) -> Place:
    return unstarted(tmp_path)


def _declared(place: Place, **parameters: t.Any) -> Parameters:
    return without_server(
        **{"config_path": place.server.config_path, "working_directory": place.server.directory, **parameters}
    )


def _written(result: Result, setting: str) -> list[str]:
    return [path["path"] for path in result["config"]["paths"] if path["written"] and path["setting"] == setting]


def test_it_returns_the_same_as_synapse(place: Place, reader: SynapseReader) -> None:
    server = place.server
    paths = server.config_path
    case = Expectation(
        "the configuration of a running server",
        "synapse_config_info",
        _declared,
        changes=False,
        state=look_at_configuration,
        token=False,
    )
    done = prove(place, case)
    config = done["config"]
    assert config.keys() == {"files", "settings", "sources", "paths", "faults", "replaced"}
    # Without false alarms.
    assert (config["faults"], config["replaced"], done.get("warnings", [])) == ([], [], [])
    assert config["files"] == [paths[0], f"{paths[1]}/rate_limits.yaml"]
    settings = config["settings"]
    taken = reader.takes(paths, "server.server_name", "media.media_store_path")
    assert settings["server_name"] == taken["server.server_name"] == server.name
    assert taken["media.media_store_path"] in _written(done, "media_store_path")
    assert config["sources"]["server_name"] in config["files"]
    assert settings["registration_shared_secret"] == _HIDDEN
    assert bool(_written(done, "database")) is (server.engine == "sqlite")
    # All the other settings too.
    read = reader.says(paths)
    assert set(settings) == set(config["sources"]) == set(read)
    assert settings["listeners"] == read["listeners"]
    assert settings["rc_login"] == read["rc_login"]
    assert config["sources"]["rc_login"] == f"{paths[1]}/rate_limits.yaml"
    assert {name for name in settings if settings[name] == _HIDDEN} == {
        "registration_shared_secret",
        "macaroon_secret_key",
        "form_secret",
    }


_returned = functools.partial(
    Expectation, module="synapse_config_info", parameters=_declared, changes=False, state=look_at_files, token=False
)


def _config(**expected: t.Any) -> Result:
    """Expect these keys in the returned configuration. A function must be true for the value."""

    def holds(config: Result) -> bool:
        for key, value in expected.items():
            if callable(value):
                assert value(config[key]), (key, config[key])
            else:
                assert config[key] == value, (key, config[key], value)
        return True

    return {"config": holds}


def _with(files: t.Mapping[str, str]) -> t.Callable[[Place], None]:
    """Prepare with more files in the directory of drop-ins."""

    def prepare(place: Place) -> None:
        write_configuration(place)
        write_beside(place, files)

    return prepare


EXPECTATIONS = (
    _returned(
        "a relative path, without the working directory",
        prepare=_with({"media.yaml": _MEDIA}),
        parameters=lambda place: _declared(place, working_directory=None),
        returns=lambda place: {
            "config": lambda config: "media_store_path" not in [path["setting"] for path in config["paths"]],
            "unknown": [
                {
                    "name": "media_store_path",
                    "reason": "The path media is relative to the working directory of Synapse.",
                    "fix": "Set working_directory to the directory that Synapse runs in.",
                }
            ],
        },
    ),
    _returned(
        "a key that the last file replaces as a whole",
        prepare=_with(
            {
                "20-later.yaml": "caches: {global_factor: 2.0}\n",
                "10-earlier.yaml": "caches: {global_factor: 1.0, expire_caches: false}\nserver_name: earlier.test\n",
                "30-ignored.yml": "server_name: ignored.test\n",
            }
        ),
        returns=lambda place: _config(
            files=[
                place.server.config_path[0],
                *(f"{place.server.config_path[1]}/{name}.yaml" for name in ("10-earlier", "20-later", "rate_limits")),
            ],
            settings=lambda settings: (
                settings["caches"] == {"global_factor": 2.0} and settings["server_name"] == "earlier.test"
            ),
            sources={
                "server_name": f"{place.server.config_path[1]}/10-earlier.yaml",
                "report_stats": place.server.config_path[0],
                "registration_shared_secret": place.server.config_path[0],
                "caches": f"{place.server.config_path[1]}/20-later.yaml",
                "rc_message": f"{place.server.config_path[1]}/rate_limits.yaml",
            },
        ),
    ),
    _returned(
        "a block that a later file replaces",
        prepare=_with(
            {
                "10-database.yaml": "database: {name: psycopg2, args: {user: synapse, password: hush-first}}\n",
                "20-pool.yaml": "database: {args: {cp_max: 30}}\n",
            }
        ),
        returns=lambda place: {
            **_config(
                replaced=[
                    {
                        "setting": "database",
                        "file": f"{place.server.config_path[1]}/20-pool.yaml",
                        "earlier": f"{place.server.config_path[1]}/10-database.yaml",
                        "lost": ["database.name", "database.args.user", "database.args.password"],
                    }
                ],
                faults=lambda faults: [fault["kind"] for fault in faults] == ["misread", "replaced"],
            ),
            "warnings": lambda said: (
                # Said once, in the sentence about what follows from it.
                [
                    str(each).count(
                        f"{place.server.config_path[1]}/20-pool.yaml replaces the whole database block of"
                        f" {place.server.config_path[1]}/10-database.yaml"
                    )
                    for each in said
                ]
                == [1]
            ),
        },
        secrets=("hush",),
    ),
    _returned(
        "a fault of each kind",
        prepare=_with(
            {
                "10-first.yaml": "presence: {enabled: false}\n",
                "20-wrong.yaml": (
                    'max_upload_size: lots\npresence: {include_offline_users_on_sync: "false"}\n'
                    "form_secret: 123456789\n"
                    "cachess: {global_factor: 2}\n"
                ),
                "30-other.yml": "presence: {enabled: true}\n",
            }
        ),
        returns=lambda place: {
            **_config(
                faults=lambda faults: (
                    [(fault["kind"], fault["setting"], Path(fault["file"]).name) for fault in faults]
                    == [
                        ("refused", "max_upload_size", "20-wrong.yaml"),
                        ("misread", "presence.include_offline_users_on_sync", "20-wrong.yaml"),
                        ("secret", "form_secret", "20-wrong.yaml"),
                        ("unknown", "cachess", "20-wrong.yaml"),
                        ("replaced", "presence", "20-wrong.yaml"),
                        ("ignored", "", "30-other.yml"),
                    ]
                )
            ),
            "warnings": lambda said: (
                len(said) == 6 and "is caches meant?" in str(said[3]) and "30-other.yaml" in str(said[5])
            ),
        },
        secrets=("123456789",),
    ),
    _returned(
        "files with a content that Synapse drops",
        prepare=_with(
            {
                "10-twice.yaml": (
                    "presence: {enabled: false}\nmax_upload_size: 1M\npresence: {include_offline_users_on_sync: true}\n"
                ),
                "20-text.yaml": "max_upload_size:50M\n",
                "30-list.yaml": "- max_upload_size: 50M\n",
                "40-comment.yaml": "# max_upload_size: 50M\n",
                "50-once.yaml": "caches: &base {global_factor: 2}\nx-other: {<<: *base, global_factor: 3}\n",
            }
        ),
        returns=lambda place: _config(
            faults=lambda faults: (
                [(fault["kind"], fault["setting"], Path(fault["file"]).name) for fault in faults]
                == [
                    ("repeated", "presence", "10-twice.yaml"),
                    ("ignored", "", "20-text.yaml"),
                    ("ignored", "", "30-list.yaml"),
                ]
            ),
            settings=lambda settings: (
                settings["presence"] == {"include_offline_users_on_sync": True} and settings["max_upload_size"] == "1M"
            ),
        ),
    ),
    _returned(
        "secrets at every level",
        prepare=_with(
            {"email.yaml": "email: {smtp_host: mail.test, smtp_pass: hush-first}\nturn_shared_secret: 123\n"}
        ),
        returns=lambda place: _config(
            settings=lambda settings: (
                settings["email"] == {"smtp_host": "mail.test", "smtp_pass": _HIDDEN}
                and settings["turn_shared_secret"] == settings["registration_shared_secret"] == _HIDDEN
            )
        ),
        secrets=("hush",),
    ),
    _returned(
        "relative paths",
        parameters=lambda place: _declared(place, working_directory="/srv/synapse"),
        prepare=_with(
            {"media.yaml": _MEDIA, "database.yaml": "database: {name: sqlite3, args: {database: db/own.db}}\n"}
        ),
        returns=lambda place: _config(
            paths=lambda paths: (
                [tuple(path.values()) for path in paths if path["written"]]
                == [
                    ("/srv/synapse/media", "media_store_path", True),
                    ("/srv/backup", "backup_media_store_path", True),
                    ("/srv/synapse/db", "database", True),
                ]
            )
        ),
    ),
    _returned(
        "default paths",
        parameters=lambda place: _declared(place, working_directory="/srv/synapse"),
        prepare=write_configuration,
        returns=lambda place: {
            **_config(paths=[{"path": "/srv/synapse/media_store", "setting": "media_store_path", "written": True}]),
            "unknown": [],
        },
    ),
    _returned(
        "a path that is only read",
        prepare=_with({"tls.yaml": "tls_certificate_path: /etc/ssl/synapse.pem\n"}),
        returns=lambda place: _config(
            paths=lambda paths: (
                {
                    "path": "/etc/ssl/synapse.pem",
                    "setting": "tls_certificate_path",
                    "written": False,
                }
                in paths
            )
        ),
    ),
)

_refusal = functools.partial(Refusal, module="synapse_config_info", state=look_at_files, token=False, secrets=("hush",))

REFUSALS = (
    _refusal(
        "a configuration that does not exist",
        parameters=lambda place: without_server(config_path=["/nonexistent/homeserver.yaml"]),
        message="/nonexistent/homeserver.yaml does not exist on this host",
    ),
    _refusal(
        "a file that is not valid YAML",
        prepare=_with({"broken.yaml": "email: {smtp_pass: hush-first, smtp_host: [\n"}),
        parameters=_declared,
        message=r"/broken\.yaml",
    ),
    _refusal(
        "no config_path",
        parameters=lambda place: without_server(),
        message="config_path",
    ),
)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_returned(unstarted_place: Place, reader: SynapseReader, case: Expectation) -> None:
    done = prove(unstarted_place, case)
    read = reader.says(unstarted_place.server.config_path)
    assert done["config"]["settings"].keys() == read.keys()
    # Of a key that is repeated, the same block counts.
    assert done["config"]["settings"].get("presence") == read.get("presence")


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(unstarted_place: Place, case: Refusal) -> None:
    prove_refusal(unstarted_place, case)


def test_config_path_may_be_one_file(unstarted_place: Place) -> None:
    write(unstarted_place.directory / "homeserver.yaml", "server_name: alone.test\n")
    path = unstarted_place.server.config_path[0]
    case = _returned(
        "one file",
        parameters=lambda place: _declared(place, config_path=path),
        returns=lambda place: _config(files=[path], settings={"server_name": "alone.test"}),
    )
    prove(unstarted_place, case)
