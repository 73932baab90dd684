# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The evaluation of a configuration agrees with what Python's logging does with it."""

from __future__ import annotations

import json
import logging
import pathlib
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.dict_configuration import (
    DictConfiguration,
    Level,
    level_name,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import Format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sink import Sink

ACCESS = "synapse.access.http.8008"
PATH = "/etc/log.yaml"
Settings = dict[str, t.Any]

# Applies each configuration of the standard input, and prints for each the level of the logger with the names of the
# handlers that get a message of each level, or null if Python refuses it.
REAL = """
import json, logging, logging.config, logging.handlers, sys

LOGGER = sys.argv[1]

def reached(handler, record):
    if not handler.filter(record):
        return
    if isinstance(handler, logging.handlers.MemoryHandler) and handler.target is not None:
        yield from reached(handler.target, record)
        return
    yield handler.name

def apply(settings):
    logging.root.manager.loggerDict.clear()
    for handler in logging.root.handlers[:]:
        logging.root.removeHandler(handler)
    logging.root.setLevel(logging.WARNING)
    logging.config.dictConfig(settings)
    logger = logging.getLogger(LOGGER)
    found = {}
    for level in (10, 20, 30, 40):
        record = logging.LogRecord(LOGGER, level, "", 1, "", (), None)
        names, at = [], logger
        while at and logger.isEnabledFor(level):
            for handler in at.handlers:
                if level >= handler.level:
                    names += reached(handler, record)
            at = at.parent if at.propagate else None
        found[level] = sorted(set(names))
    return [logger.getEffectiveLevel(), found]

for settings in json.load(sys.stdin):
    try:
        print(json.dumps(apply(settings)))
    except Exception:
        print("null")
"""


def configuration(**parts: t.Any) -> Settings:
    """A configuration with a file handler and a buffer before it."""
    handlers = {
        "file": {"class": "logging.FileHandler", "filename": "/a/log", "delay": True},
        "buffer": {"class": "logging.handlers.MemoryHandler", "capacity": 10, "target": "file"},
        "console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
        "nothing": {"class": "logging.NullHandler"},
    }
    handlers.update(parts.pop("handlers", {}))
    return {"version": 1, "root": {"level": "INFO", "handlers": ["buffer"]}, "handlers": handlers, **parts}


def with_logger(name: str, **settings: t.Any) -> Settings:
    return configuration(loggers={name: settings})


def file(**settings: t.Any) -> Settings:
    return {"class": "logging.FileHandler", "filename": "/a/log", "delay": True, **settings}


CASES: dict[str, Settings] = {
    "the default": configuration(),
    "no level of root": configuration(root={"handlers": ["file"]}),
    "root at WARNING": configuration(root={"level": "WARNING", "handlers": ["file"]}),
    "a number as level": configuration(root={"level": 10, "handlers": ["file"]}),
    "true as level": configuration(root={"level": True, "handlers": ["file"]}),
    "NOTSET at a logger": with_logger("synapse.access", level="NOTSET"),
    "NOTSET at root": configuration(root={"level": "NOTSET", "handlers": ["file"]}),
    "null as level": with_logger("synapse.access", level=None),
    "access at DEBUG": with_logger("synapse.access", level="DEBUG"),
    "the logger itself": with_logger(ACCESS, level="ERROR", handlers=["console"]),
    "synapse at WARNING": with_logger("synapse", level="WARNING"),
    "another logger": with_logger("synapse.storage.SQL", level="DEBUG", propagate=False),
    "a name with the same beginning": with_logger("synapse.acc", level="DEBUG"),
    "no propagation": with_logger("synapse.access", propagate=False),
    "no propagation, a handler": with_logger("synapse", propagate=False, handlers=["console"]),
    "null for propagation": with_logger("synapse", propagate=None, handlers=["console"]),
    "text for propagation": with_logger("synapse", propagate="false", handlers=["console"]),
    "0 for propagation": with_logger("synapse", propagate=0, handlers=["console"]),
    "twice the same": with_logger("synapse", handlers=["buffer", "file"]),
    "null for handlers": with_logger("synapse", handlers=None),
    "no root": {key: value for key, value in configuration().items() if key != "root"},
    "null for root": configuration(root=None),
    "an empty root": configuration(root={}),
    "a level of a handler": configuration(handlers={"file": file(level="ERROR")}),
    "a level of the buffer": configuration(
        handlers={
            "buffer": {"class": "logging.handlers.MemoryHandler", "capacity": 1, "target": "file", "level": "ERROR"}
        }
    ),
    "a level of both": configuration(
        root={"level": 10, "handlers": ["file", "buffer"]}, handlers={"file": file(level=30)}
    ),
    "a buffer of a buffer": configuration(
        root={"level": "INFO", "handlers": ["last"]},
        handlers={"last": {"class": "logging.handlers.MemoryHandler", "capacity": 1, "target": "buffer"}},
    ),
    "a buffer of a buffer, in the wrong order": configuration(
        root={"level": "INFO", "handlers": ["again"]},
        handlers={"again": {"class": "logging.handlers.MemoryHandler", "capacity": 1, "target": "buffer"}},
    ),
    "a filter for it": configuration(
        filters={"one": {"name": "synapse.access"}}, handlers={"file": file(filters=["one"])}
    ),
    "a filter for others": configuration(
        filters={"one": {"name": "synapse.acc"}}, handlers={"file": file(filters=["one"])}
    ),
    "a filter without a name": configuration(filters={"one": {}}, handlers={"file": file(filters=["one"])}),
    "a filter of the buffer": configuration(
        filters={"one": {"name": "other"}},
        handlers={
            "buffer": {"class": "logging.handlers.MemoryHandler", "capacity": 1, "target": "file", "filters": ["one"]}
        },
    ),
    "a reference": configuration(
        level="DEBUG", root={"level": "cfg://level", "handlers": "cfg://names[0]"}, names=[["console", "file"]]
    ),
    "root among the loggers": with_logger("root", level="DEBUG", handlers=["console"]),
    "a logger without a name": configuration(loggers={"": {"level": "DEBUG", "handlers": ["console"]}}, root=None),
    "both, root without a level": configuration(
        loggers={"": {"level": "DEBUG", "handlers": ["console"]}}, root={"handlers": ["file"]}
    ),
    "an unknown level": configuration(root={"level": "LOUD"}),
    "a level in small letters": configuration(root={"level": "info"}),
    "a level with a fraction": configuration(root={"level": 1.5}),
    "a list as level": configuration(root={"level": []}),
    "an unknown handler": configuration(root={"handlers": ["lost"]}),
    "a text for handlers": configuration(root={"handlers": "file"}),
    "a number for handlers": configuration(root={"handlers": 3}),
    "an unknown target": configuration(
        handlers={"buffer": {"class": "logging.handlers.MemoryHandler", "capacity": 1, "target": "lost"}}
    ),
    "a buffer of itself": configuration(
        handlers={"buffer": {"class": "logging.handlers.MemoryHandler", "capacity": 1, "target": "buffer"}}
    ),
    "a list for loggers": configuration(loggers=["synapse"]),
    "null for loggers": configuration(loggers=None),
    "null for a logger": configuration(loggers={"synapse": None}),
    "a text for a handler": configuration(handlers={"more": "logging.NullHandler"}),
    "a handler without a class": configuration(handlers={"more": {"filename": "/a"}}),
    "a file handler without a file": configuration(handlers={"file": {"class": "logging.FileHandler"}}),
    "a list as file": configuration(handlers={"file": file(filename=["/a"])}),
    "an unknown formatter": configuration(handlers={"file": file(formatter="lost")}),
    "an unknown filter": configuration(handlers={"file": file(filters=["lost"])}),
    "a bad style": configuration(
        formatters={"a": {"format": "x", "style": "?"}}, handlers={"file": file(formatter="a")}
    ),
    "a formatter that nothing uses": configuration(formatters={"a": {"style": "?"}}),
    "no version": {key: value for key, value in configuration().items() if key != "version"},
    "another version": configuration(version=2),
    "a reference to nothing": configuration(root={"level": "cfg://lost.level"}),
    "a reference without a path": configuration(root={"level": "cfg://[x"}),
    "a reference that is not one": configuration(root={"level": "abc://level"}),
}


def evaluated(settings: Settings, directory: str | None = None) -> DictConfiguration:
    return DictConfiguration(json.loads(json.dumps(settings)), PATH, directory)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, t.Any]:
    """What Python does with each case."""
    script = tmp_path_factory.mktemp("real") / "real.py"
    script.write_text(REAL)
    done = subprocess.run(
        [sys.executable, str(script), ACCESS],
        input=json.dumps(list(CASES.values())),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(zip(CASES, map(json.loads, done.stdout.splitlines())))


@pytest.mark.parametrize("case", CASES)
def test_python_agrees(case: str, real: dict[str, t.Any]) -> None:
    if real[case] is None:
        with pytest.raises(ConfigurationError, match="in the log configuration /etc/log.yaml"):
            evaluated(CASES[case])
        return
    level, reached = real[case]
    ours = evaluated(CASES[case])
    assert ours.level(ACCESS).level == level
    sinks = ours.sinks(ACCESS)
    for number in (10, 20, 30, 40):
        names = {sink.handler for sink in sinks if level <= number and sink.level <= number}
        assert sorted(names) == reached[str(number)], number


def test_the_cases_are_of_both_kinds(real: dict[str, t.Any]) -> None:
    refused = [case for case in real if real[case] is None]
    assert len(refused) > 20
    assert len(real) - len(refused) > 30
    assert real["the default"] == [20, {"10": [], "20": ["file"], "30": ["file"], "40": ["file"]}]


def test_a_sink_has_its_format_and_the_handler_of_the_logger() -> None:
    settings = configuration(
        formatters={"precise": {"format": "%(asctime)s - %(message)s", "datefmt": "%H"}},
        handlers={"file": file(formatter="precise", level="ERROR", filename="logs/../a.log")},
    )
    form = Format("%(asctime)s - %(message)s", "%", "%H")
    assert evaluated(settings, "/data").sinks(ACCESS) == [Sink("file", "/data/a.log", "file", 0, form, "buffer")]
    assert evaluated(settings).sinks(ACCESS)[0].path == "logs/../a.log"


FILTERED: Settings = {"version": 1, "handlers": {"file": {"class": "logging.NullHandler", "filters": ["one", "two"]}}}
FILTERS = {"one": {"name": "synapse.handlers"}, "two": {}}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"version": 1}, ""),
        (
            {"version": 1, "loggers": {"synapse.access": {"propagate": False}, "synapse": {"propagate": False}}},
            "the logger synapse.access has propagate: false and no handler that gets them. Set it to true.",
        ),
        ({"version": 1, "root": {"propagate": False}}, ""),
        (
            {**FILTERED, "filters": FILTERS, "root": {"handlers": ["file"]}},
            "the handler file has the filter one, two, which does not let them pass. Remove the filter, or add another"
            " handler.",
        ),
        (
            # The filter is that of the handler behind it.
            {
                **FILTERED,
                "filters": FILTERS,
                "handlers": {**FILTERED["handlers"], "buffer": {"class": "a.MemoryHandler", "target": "file"}},
                "root": {"handlers": ["buffer"]},
            },
            "",
        ),
    ],
)
def test_what_keeps_messages_from_every_handler(settings: Settings, expected: str) -> None:
    evaluated = DictConfiguration(settings, PATH, None)
    assert evaluated.sinks(ACCESS) == []
    assert evaluated.kept_from_handlers(ACCESS) == expected


def test_the_logger_that_sets_the_level() -> None:
    assert evaluated(configuration()).level(ACCESS) == Level(logging.INFO, "root")
    assert evaluated(with_logger("synapse", level="DEBUG")).level(ACCESS) == Level(logging.DEBUG, "synapse")


def test_handlers_that_no_logger_uses() -> None:
    assert [sink.handler for sink in evaluated(configuration()).unused()] == ["console", "nothing"]
    settings = with_logger("other", handlers=["nothing"])
    settings["root"]["handlers"] = ["console"]
    assert [(sink.handler, sink.path) for sink in evaluated(settings).unused()] == [("file", "/a/log"), ("buffer", "")]


def test_a_queue_leads_on() -> None:
    queue = {"class": "logging.handlers.QueueHandler", "handlers": ["file", "console"]}
    settings = configuration(root={"level": "INFO", "handlers": ["queue"]}, handlers={"queue": queue})
    assert [(sink.handler, sink.entry) for sink in evaluated(settings).sinks(ACCESS)] == [
        ("file", "queue"),
        ("console", "queue"),
    ]


def test_a_handler_of_others_may_have_a_target_of_its_own() -> None:
    more = {"class": "their.Handler", "target": "https://example.org", "handlers": 3}
    settings = configuration(root={"level": "INFO", "handlers": ["more"]}, handlers={"more": more})
    assert [(sink.kind, sink.path) for sink in evaluated(settings).sinks(ACCESS)] == [("other", "their.Handler")]


def test_filters_of_others_may_let_everything_pass() -> None:
    settings = configuration(
        filters={"context": {"()": "synapse.util.logcontext.LoggingContextFilter", "request": "", "name": "x"}},
        handlers={"file": file(filters=["context"])},
    )
    assert [sink.handler for sink in evaluated(settings).sinks(ACCESS)] == ["file"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("buffer", "handlers.buffer"),
        (["file"], "handlers.buffer.target in the log configuration /etc/log.yaml is not the name of a handler"),
    ],
)
def test_a_target_that_leads_nowhere(target: t.Any, reason: str) -> None:
    buffer = {"class": "synapse.logging.handlers.PeriodicallyFlushingMemoryHandler", "target": target}
    with pytest.raises(ConfigurationError, match=f"^{reason}"):
        evaluated(configuration(handlers={"buffer": buffer}))


def test_a_long_row_of_handlers() -> None:
    handlers = {
        f"h{number}": {"class": "logging.handlers.MemoryHandler", "target": f"h{number - 1}"}
        for number in range(1001, 3000)
    }
    handlers["h1000"] = {"class": "logging.FileHandler", "filename": "/var/log/x"}
    root = {"level": "INFO", "handlers": ["h2999"]}
    assert [sink.path for sink in evaluated(configuration(handlers=handlers, root=root)).sinks(ACCESS)] == [
        "/var/log/x"
    ]


def test_whether_a_reload_disables_a_logger() -> None:
    assert evaluated(configuration()).disables_existing
    assert not evaluated(configuration(disable_existing_loggers=False)).disables_existing
    assert evaluated(with_logger("synapse")).names_ancestor_of(ACCESS)
    assert not evaluated(with_logger("synapse.storage")).names_ancestor_of(ACCESS)


def test_the_names_of_levels() -> None:
    assert [level_name(level) for level in (10, 20, 30, 50, 15, 0)] == [
        "DEBUG",
        "INFO",
        "WARNING",
        "CRITICAL",
        "15",
        "NOTSET",
    ]


def test_nothing_is_opened(tmp_path: pathlib.Path) -> None:
    evaluated(configuration(handlers={"file": file(filename=str(tmp_path / "a"), delay=False)})).sinks(ACCESS)
    assert list(tmp_path.iterdir()) == []
