# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log import sources as sources_module
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.layout import Layout
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_file import LogFile
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.log_format import SYNAPSE_FORMAT, Format
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.running import Started
from ansible_collections.matrix_ops.synapse.plugins.module_utils._log.sources import Places, Sources, find_sources
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unknown
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._log.made_log import processed, write

HEADER = "listeners: [{type: http, port: 8008, request_id_header: X-Request-ID}]\n"
CONFIGURATION = """
version: 1
formatters:
    precise: {format: "FORMAT"}
handlers:
    file: {class: logging.FileHandler, formatter: precise, filename: FILE}
    console: {class: logging.StreamHandler, formatter: precise}
root: {level: INFO, handlers: [HANDLERS]}
disable_existing_loggers: false
"""


class Host:
    """Processes of Synapse with their configurations, in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[Started] = []
        self.units = ["matrix-synapse.service"]
        self.hidden: list[Unknown] = []

    def add(
        self,
        name: str = "homeserver",
        handlers: str = "file",
        file: str = "homeserver.log",
        form: str = SYNAPSE_FORMAT,
        more: str = "",
    ) -> str:
        """Add a process, and return the path of its configuration."""
        text = CONFIGURATION.replace("FORMAT", form).replace("FILE", file).replace("HANDLERS", handlers)
        log_config = self.directory / f"{name}.log.config"
        log_config.write_text(text)
        path = self.directory / f"{name}.yaml"
        path.write_text(f"server_name: a\nlog_config: {log_config}\n{more}")
        self.processes.append(Started((str(path),), str(self.directory), False, len(self.processes) + 1))
        return str(path)

    def write(self, name: str, text: str | None = None) -> str:
        return write(self.directory, processed(len(name)) if text is None else text, name)

    def find(self, **places: t.Any) -> Sources:
        config_path = [self.processes[0].config_path[0]] if self.processes else ["/nonexistent/homeserver.yaml"]
        return find_sources(Places(**{**dict.fromkeys(Places._fields), "config_path": config_path, **places}))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(tmp_path)
    monkeypatch.setattr(sources_module, "started_processes", lambda config_path: (found.processes, found.hidden))
    monkeypatch.setattr(sources_module, "units_of", lambda processes, hidden: found.units)
    return found


def names(files: t.Iterable[LogFile]) -> list[str]:
    return [Path(file.path).name for file in files]


def test_path_and_unit(host: Host) -> None:
    path = host.write("a.log")
    with pytest.raises(InvalidInput, match="path and unit are both set"):
        host.find(path=[path], unit=["a"])
    for option in ("path", "unit", "config_path"):
        with pytest.raises(InvalidInput, match=f"^{option} is empty"):
            host.find(**{option: []})


def test_a_path(host: Host) -> None:
    host.write("a.log")
    # The configuration does not have to be there.
    found = host.find(path=[str(host.directory / "*.log")])
    assert (names(found.files), found.units, found.sinks, found.warnings) == (["a.log"], [], (), ())
    assert found.files[0].layouts[0].text == SYNAPSE_FORMAT
    assert not found.free_tags


def test_a_unit(host: Host) -> None:
    found = host.find(unit=["synapse", "worker@1.service"], log_format="%(message)s", log_datefmt="%c")
    assert found == Sources(
        [], ["synapse.service", "worker@1.service"], Format("%(message)s", datefmt="%c"), free_tags=False
    )
    with pytest.raises(InvalidInput, match="is not the name of a systemd unit"):
        host.find(unit=["a b"])


def test_clients_that_choose_tags(host: Host) -> None:
    path = host.write("homeserver.log")
    host.add(more=HEADER)
    for found in (host.find(path=[path]), host.find()):
        (layout,) = found.files[0].layouts
        assert isinstance(layout, Layout)
        assert (layout.free_tags, found.free_tags) == (True, True)
    assert host.find(unit=["a"]).free_tags
    host.processes.clear()
    host.add(more=HEADER.replace("listeners", "worker_listeners"))
    assert host.find(unit=["a"]).free_tags


@pytest.mark.parametrize("listeners", ["x", "[x]", "{a: b}", "[{type: http, port: 1}]", "null"])
def test_other_listeners(host: Host, listeners: str) -> None:
    host.add(more=f"listeners: {listeners}\n")
    assert not host.find(unit=["a"]).free_tags


def test_the_file_of_the_log_configuration(host: Host) -> None:
    host.add(handlers="file, console")
    host.write("homeserver.log")
    found = host.find()
    assert (names(found.files), found.units, found.warnings) == (["homeserver.log"], [], [])
    (sinks,) = found.sinks
    assert [sink.path for sink in sinks.sinks] == [str(host.directory / "homeserver.log"), "stderr"]


def test_rotated_files(host: Host) -> None:
    host.add()
    for number, name in enumerate(("homeserver.log", "homeserver.log.1", "homeserver.log.2026-11-18.gz")):
        host.write(name, processed(-number * 10_000))
    for other in ("homeserver.log.config", "homeserver.logger", "other.log", "homeserver.log.d.txt"):
        host.write(other, "x")
    host.add()
    assert names(host.find().files) == ["homeserver.log.2026-11-18.gz", "homeserver.log.1", "homeserver.log"]


def test_two_processes_with_the_same_file(host: Host) -> None:
    host.add()
    host.add("worker")
    host.write("homeserver.log")
    found = host.find()
    assert (names(found.files), len(found.sinks)) == (["homeserver.log"], 2)


def test_two_processes_with_different_formats(host: Host) -> None:
    other = "%(levelname)s - %(asctime)s - %(name)s - %(request)s - %(message)s"
    host.add()
    host.add("worker", file="worker.log", form=other)
    text = processed(5)
    host.write("homeserver.log")
    host.write("worker.log", f"INFO - {text.partition(' - ')[0]} - synapse.access.http.1 - GET-1 - x\n" * 3)
    found = host.find()
    assert [file.layouts[0].text for file in found.files] == [SYNAPSE_FORMAT, other]
    # The file of a worker that has just begun.
    host.write("worker.log", "")
    assert names(host.find().files) == ["homeserver.log"]
    host.write("homeserver.log", "")
    with pytest.raises(SynapseError, match="homeserver.log is empty"):
        host.find()


def test_a_format_that_is_set_counts_more(host: Host) -> None:
    host.add()
    host.write("homeserver.log", f"1795000000.5 {processed(1).partition(' - ')[2]}" * 3)
    found = host.find(log_format="%(created)f %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s")
    assert found.files[0].first == 1_795_000_000.5
    host.write("homeserver.log", f"23/11 2026 {processed(1).partition(' - ')[2]}" * 3)
    form = "%(asctime)s %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s"
    assert host.find(log_format=form, log_datefmt="%d/%m %Y").files[0].first is not None


def test_the_journal(host: Host) -> None:
    host.add(handlers="console", form="%(name)s %(message)s")
    found = host.find()
    assert (found.files, found.units, found.known) == ([], host.units, Format("%(name)s %(message)s"))
    assert host.find(log_format="%(message)s", log_datefmt="%c").known == Format("%(message)s", datefmt="%c")


def test_a_file_that_no_logger_uses_is_not_the_log(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.add(handlers="console", file="/var/log/own.log")
    (warning,) = host.find().warnings
    assert warning == (
        "No logger uses the handler file (/var/log/own.log), so that its file stays empty: add it to the handlers of"
        " root."
    )

    def no_unit(processes: t.Any, hidden: t.Any) -> list[str]:
        raise SynapseError("Set unit.")

    monkeypatch.setattr(sources_module, "units_of", no_unit)
    with pytest.raises(SynapseError, match=r"^Set unit[.] No logger uses the handler file \(/var/log/own.log\)"):
        host.find()


def test_a_file_that_does_not_exist(host: Host) -> None:
    host.add()
    with pytest.raises(SynapseError, match="homeserver.log does not exist on this host"):
        host.find()
    # What is also in the journal can be read there.
    host.processes.clear()
    host.add(handlers="file, console")
    found = host.find()
    assert (found.files, found.units) == ([], host.units)


def test_a_worker_whose_file_does_not_exist(host: Host) -> None:
    host.add()
    host.add("worker", file="worker.log")
    host.write("homeserver.log")
    found = host.find()
    assert names(found.files) == ["homeserver.log"]
    (warning,) = found.warnings
    assert "worker.log does not exist" in warning


def test_a_worker_that_writes_to_the_journal_only(host: Host) -> None:
    host.add()
    path = host.add("worker", handlers="console")
    host.write("homeserver.log")
    found = host.find()
    assert (names(found.files), found.units) == (["homeserver.log"], [])
    (warning,) = found.warnings
    assert warning.startswith(f"The process with the configuration {path} writes its requests to the journal only")


def test_a_level_that_keeps_no_requests(host: Host) -> None:
    host.add()
    host.write("homeserver.log")
    config = host.directory / "homeserver.log.config"
    config.write_text(config.read_text().replace("level: INFO", "level: WARNING"))
    with pytest.raises(SynapseError, match="^Synapse does not log requests, which have the level INFO"):
        host.find()


def test_a_log_configuration_that_does_not_exist(host: Host) -> None:
    host.add()
    (host.directory / "homeserver.log.config").unlink()
    with pytest.raises(ConfigurationError, match=r"homeserver\.log\.config"):
        host.find()


def test_a_configuration_that_does_not_exist(host: Host) -> None:
    host.processes.append(Started(("/nonexistent/homeserver.yaml",), None))
    with pytest.raises(ConfigurationError, match=r"/nonexistent/homeserver\.yaml"):
        host.find()


def test_a_reload_that_ends_the_log(host: Host) -> None:
    host.add()
    host.write("homeserver.log")
    config = host.directory / "homeserver.log.config"
    config.write_text(config.read_text().replace("disable_existing_loggers: false", ""))
    (warning,) = host.find().warnings
    assert "does not set disable_existing_loggers to false" in warning


def test_of_two_files_with_the_same_requests_one_is_read(host: Host) -> None:
    directory = host.directory
    host.add(handlers="file, more, most", more="", file="a.log")
    log_config = directory / "homeserver.log.config"
    further = "".join(
        f"    {name}: {{class: logging.FileHandler, formatter: {form}, filename: {name}.log, level: {level}}}\n"
        for name, form, level in (("more", "untagged", "INFO"), ("most", "precise", "DEBUG"))
    )
    text = log_config.read_text().replace(
        "handlers:\n", f"    untagged: {{format: '%(name)s %(message)s'}}\nhandlers:\n{further}", 1
    )
    log_config.write_text(text)
    for name in ("a.log", "more.log", "most.log"):
        host.write(name)
    found = host.find()
    assert names(found.files) == ["a.log"]
    assert found.not_read == [str(directory / name) for name in ("most.log", "more.log")]


def test_a_relative_path_is_not_looked_for_in_the_directory_of_this_process(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.add()
    host.processes[0] = host.processes[0]._replace(directory=None)
    host.write("homeserver.log")
    monkeypatch.chdir(host.directory)
    with pytest.raises(SynapseError, match="homeserver.log is relative to the directory that Synapse is started in"):
        host.find()


def test_a_rotation_that_puts_the_date_before_the_ending(host: Host) -> None:
    host.add()
    for number, name in enumerate(("homeserver-20260101.log", "homeserver-20260102.log", "homeserver.log")):
        host.write(name, processed(number))
    host.write("other.log")
    (host.directory / "homeserver-20260103.log.d").mkdir()
    assert names(host.find().files) == ["homeserver-20260101.log", "homeserver-20260102.log", "homeserver.log"]


def test_processes_that_cannot_be_seen_are_reported(host: Host) -> None:
    host.add()
    host.write("homeserver.log")
    host.hidden = [Unknown("processes", "Process 7 is hidden.", "Become root.")]
    assert host.find().unknown == host.hidden


def test_the_style_in_the_log_configuration_counts(host: Host) -> None:
    # In the style $, it would have no message.
    form = "{asctime} ${name} {levelname} {request} {message}"
    host.add(form=f'{form}", style: "{{')
    text = re.sub(r" - (\S+) - \d+ - (\w+) - (\S+) - ", r" $\1 \2 \3 ", processed(1))
    host.write("homeserver.log", text)
    assert host.find().files[0].layouts[0].text == form
