# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    ConfigurationFile,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.dict_configuration import Level
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_configuration import LogSinks, read_log_sinks
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import SYNAPSE_FORMAT, Format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sink import Sink

PRECISE = "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s"
# What Synapse 1.163 generates, with the parts that matter.
GENERATED = """
version: 1
formatters:
    precise:
        format: '%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s'
handlers:
    file:
        class: logging.handlers.TimedRotatingFileHandler
        formatter: precise
        filename: /var/log/matrix-synapse/homeserver.log
        when: midnight
        encoding: utf8
    buffer:
        class: synapse.logging.handlers.PeriodicallyFlushingMemoryHandler
        target: file
        capacity: 10
        flushLevel: 30
        period: 5
    console:
        class: logging.StreamHandler
        formatter: precise
loggers:
    synapse.storage.SQL:
        level: INFO
root:
    level: INFO
    handlers: [buffer]
disable_existing_loggers: false
"""


def configuration(**settings: t.Any) -> Configuration:
    return Configuration((ConfigurationFile("/etc/homeserver.yaml", settings),))


def read(directory: pathlib.Path, text: t.Any, working_directory: str | None = None, **settings: t.Any) -> LogSinks:
    """Read a log configuration with this content; JSON is YAML too."""
    path = directory / "log.yaml"
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return read_log_sinks(configuration(log_config=str(path), **settings), working_directory)


def simple(**parts: t.Any) -> dict[str, t.Any]:
    return {
        "version": 1,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": "a.log"}},
        "root": {"level": "INFO", "handlers": ["file"]},
        **parts,
    }


def test_the_generated_log_configuration(tmp_path: pathlib.Path) -> None:
    found = read(tmp_path, GENERATED)
    form = Format(PRECISE)
    assert found == LogSinks(
        (Sink("file", "/var/log/matrix-synapse/homeserver.log", "file", 0, form, "buffer"),),
        Level(20, "root"),
        str(tmp_path / "log.yaml"),
        "log_config",
        "/etc/homeserver.yaml",
        (Sink("stream", "stderr", "console", 0, form, "console"),),
    )
    assert found.keeping(20) == found.sinks
    assert found.keeping(10) == ()


def test_without_a_log_configuration() -> None:
    sinks = (Sink("stream", "stderr", "", 0, Format(SYNAPSE_FORMAT)),)
    assert SYNAPSE_FORMAT == PRECISE
    assert read_log_sinks(configuration(), None) == LogSinks(sinks, Level(20, "root"))
    assert read_log_sinks(configuration(log_config=None), None).sinks == sinks


def test_a_worker_has_a_setting_of_its_own(tmp_path: pathlib.Path) -> None:
    own = tmp_path / "worker.yaml"
    own.write_text(json.dumps(simple()))
    settings = {"worker_app": "synapse.app.generic_worker", "worker_log_config": str(own)}
    found = read(tmp_path, "neither: read", "/data", **settings)
    assert (found.path, found.setting, found.sinks[0].path) == (str(own), "worker_log_config", "/data/a.log")
    # The one of the main process does not count.
    del settings["worker_log_config"]
    assert read(tmp_path, GENERATED, **settings).sinks[0].kind == "stream"


def test_relative_paths(tmp_path: pathlib.Path) -> None:
    (tmp_path / "log.yaml").write_text(json.dumps(simple()))
    found = read_log_sinks(configuration(log_config="./log.yaml"), str(tmp_path))
    assert (found.path, found.sinks[0].path) == (str(tmp_path / "log.yaml"), str(tmp_path / "a.log"))
    assert read(tmp_path, simple()).sinks[0].path == "a.log"
    with pytest.raises(ConfigurationError, match="^log_config in /etc/homeserver.yaml is the relative path log.yaml"):
        read_log_sinks(configuration(log_config="log.yaml"), None)


def test_a_daemon_has_no_standard_error(tmp_path: pathlib.Path) -> None:
    for found in (
        read_log_sinks(configuration(), None, daemonized=True),
        read_log_sinks(configuration(daemonize=True), None),
        read_log_sinks(configuration(worker_app="a", worker_daemonize=True), None),
    ):
        assert [(sink.kind, sink.path) for sink in found.sinks] == [("none", "stderr")]
        assert found.keeping(20) == ()
    assert read_log_sinks(configuration(worker_app="a", daemonize=True), None).sinks[0].kind == "stream"
    assert read(tmp_path, GENERATED, daemonize=True).sinks[0].kind == "file"


@pytest.mark.parametrize(
    ("listener", "logger"),
    [
        ({"type": "http", "port": 8080}, "synapse.access.http.8080"),
        ({"type": "http", "port": 8448, "tls": True}, "synapse.access.https.8448"),
        ({"type": "http", "port": 8080, "tag": "a.b"}, "synapse.access.http.a"),
        ({"type": "http", "path": "/run/synapse.sock"}, "synapse.access.http.unix"),
    ],
)
def test_the_logger_of_a_listener(listener: dict[str, t.Any], logger: str, tmp_path: pathlib.Path) -> None:
    settings = simple(loggers={logger: {"level": "DEBUG"}}, root={"level": "WARNING", "handlers": ["file"]})
    found = read(tmp_path, settings, listeners=[{"type": "metrics", "port": 1}, listener])
    assert (found.level, found.raised) == (Level(10, logger), (logger,))
    assert len(found.keeping(10)) == 1
    as_worker = {"worker_app": "a", "worker_log_config": found.path}
    assert read(tmp_path, settings, worker_listeners=[listener], **as_worker).level == Level(10, logger)
    assert read(tmp_path, settings, listeners=[listener], **as_worker).level == Level(30, "root")


def test_several_listeners(tmp_path: pathlib.Path) -> None:
    loggers = {
        "synapse.access.http.1": {"level": "DEBUG", "handlers": ["own"], "propagate": False},
        "synapse.access.http.2": {"level": "ERROR"},
    }
    handlers = {**simple()["handlers"], "own": {"class": "logging.StreamHandler"}}
    listeners = [{"type": "http", "port": port} for port in (2, 1, 3)]
    found = read(tmp_path, simple(loggers=loggers, handlers=handlers), listeners=listeners)
    assert [sink.handler for sink in found.sinks] == ["file", "own"]
    assert found.level == Level(10, "synapse.access.http.1")
    assert found.raised == ("synapse.access.http.2", "synapse.access.http.1", "synapse.access")


@pytest.mark.parametrize("listeners", [None, 3, [], [3, {}], [{"type": "http"}]])
def test_listeners_that_are_not_known(listeners: t.Any, tmp_path: pathlib.Path) -> None:
    assert len(read(tmp_path, simple(), listeners=listeners).keeping(20)) == 1


def test_whether_a_reload_ends_the_log(tmp_path: pathlib.Path) -> None:
    assert read(tmp_path, simple()).reload_silences
    assert not read(tmp_path, simple(disable_existing_loggers=False)).reload_silences
    named = read(tmp_path, simple(loggers={"synapse": {"level": "INFO"}}))
    assert (named.disables_existing, named.reload_silences) == (True, False)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty, or not a mapping"),
        ("# only a comment\n", "is empty, or not a mapping"),
        ("- a\n", "is empty, or not a mapping"),
        ("structured: true\n", "has structured: true, which Synapse refuses since 1.54.0"),
        ("{version: 1, incremental: true}", "has incremental: true"),
    ],
)
def test_what_synapse_refuses(text: str, reason: str, tmp_path: pathlib.Path) -> None:
    found = read(tmp_path, text)
    assert found.refused.startswith(f"The log configuration {tmp_path}/log.yaml {reason}")
    assert found.keeping(50) == ()


def test_the_setting_of_old_times() -> None:
    found = read_log_sinks(configuration(log_file="/var/log/synapse.log"), None)
    assert found.refused.startswith("log_file in /etc/homeserver.yaml is a setting that Synapse refuses since 1.3.0")


@pytest.mark.parametrize("path", ["", 3, ["a"], "a\0b", {}])
def test_a_path_of_the_wrong_type(path: t.Any) -> None:
    with pytest.raises(ConfigurationError, match="^log_config in /etc/homeserver.yaml is not a path"):
        read_log_sinks(configuration(log_config=path), None)


def test_a_log_configuration_that_cannot_be_read(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_log_sinks(configuration(log_config=f"{tmp_path}/lost"), None)
    assert str(caught.value) == (
        f"log_config in /etc/homeserver.yaml is set to {tmp_path}/lost, which does not exist on this host: correct it,"
        " because Synapse cannot start with it."
    )
    with pytest.raises(ConfigurationError, match="which is a directory"):
        read_log_sinks(configuration(log_config=str(tmp_path)), None)
    with pytest.raises(ConfigurationError, match="is not valid YAML, line 3.* It is the log_config of /etc/homeserver"):
        read(tmp_path, "version: 1\na: [")


# Values of a wrong type. Each one is put in the place of each value of the generated log configuration.
WRONG: list[t.Any] = [
    None,
    True,
    3,
    1.5,
    "text",
    "cfg://lost",
    "ext://lost",
    [],
    [[]],
    [None],
    {},
    {"a": {}},
    {"a": None},
]


def _replaced(value: t.Any, wrong: t.Any) -> t.Iterator[t.Any]:
    """Yield copies of a value, in each of which one value is replaced."""
    yield wrong
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {other: found for other, found in value.items() if other != key}
            for replaced in _replaced(inner, wrong):
                yield {**value, key: replaced}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for replaced in _replaced(inner, wrong):
                yield [*value[:index], replaced, *value[index + 1 :]]


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_types_anywhere(wrong: t.Any, tmp_path: pathlib.Path) -> None:
    whole = {
        "version": 1,
        "formatters": {"a": {"format": "x", "datefmt": "%H", "style": "%", "class": "logging.Formatter"}},
        "filters": {"f": {"name": "synapse"}},
        "handlers": {
            "file": {"class": "logging.FileHandler", "filename": "/a", "formatter": "a", "filters": ["f"], "level": 10},
            "buffer": {"class": "logging.handlers.MemoryHandler", "target": "file", "capacity": 1},
            "stream": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
            "syslog": {"class": "logging.handlers.SysLogHandler", "address": ["a", 1]},
            "queue": {"class": "logging.handlers.QueueHandler", "handlers": ["buffer"]},
            "remote": {"class": "synapse.logging.RemoteHandler", "host": "a", "port": 1},
        },
        "loggers": {"synapse": {"level": "INFO", "handlers": ["stream"], "propagate": True}},
        "root": {"level": "INFO", "handlers": ["queue", "syslog"]},
        "disable_existing_loggers": False,
        "incremental": False,
    }
    read_through = refused = 0
    for settings in _replaced(whole, wrong):
        try:
            found = read(tmp_path, settings)
        except ConfigurationError as error:
            assert "Traceback" not in str(error) and str(error).endswith(".")
            refused += 1
        else:
            assert found.refused or isinstance(found.level.level, int)
            read_through += 1
    assert read_through > 10
    assert refused > 10


def test_a_reload_ends_the_log_of_one_listener(tmp_path: pathlib.Path) -> None:
    listeners = [{"type": "http", "port": port} for port in (1, 2)]
    named = simple(loggers={"synapse.access.http.1": {"level": "INFO"}})
    assert read(tmp_path, named, listeners=listeners).reload_silences
    assert not read(tmp_path, named, listeners=listeners[:1]).reload_silences
