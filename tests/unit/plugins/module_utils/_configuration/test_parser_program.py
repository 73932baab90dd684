# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.parser_program import (
    ACCEPTED,
    ANY_DIRECTORY,
    ISOLATED,
    NEW_KEY,
    PROGRAM,
    REFUSED,
    WORKER,
)

# What Synapse does with its configuration, as short as possible.
_BASE = """
    import os
    class ConfigError(Exception):
        def __init__(self, msg, path=None):
            self.msg, self.path = msg, path
    def read_file(path, setting):
        try:
            return open(path).read()
        except OSError as error:
            raise ConfigError(f"no {path}", setting) from error
"""
_HOMESERVER = """
    import os, types
    from synapse.config import _base, key, registration
    class HomeServerConfig:
        @classmethod
        def load_config(cls, description, arguments):
            config = types.SimpleNamespace(arguments=arguments)
            {body}
            return config
"""
_KEY = """
    from synapse.config._base import read_file
    class KeyConfig:
        def read_signing_keys(self, path, name):
            return [read_file(path, ("signing_key",))]
"""


class Synapse:
    """A package with the name of Synapse, whose parser does what `body` says."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.packages, self.place = directory / "packages", directory / "place"
        self.place.mkdir()
        self.write("signedjson/key.py", "def generate_signing_key(version): return version\n")
        self.write("signedjson/__init__.py", "")
        for name, text in {
            "__init__": "",
            "config/__init__": "",
            "config/_base": _BASE,
            "config/key": _KEY,
            "config/registration": "from synapse.config._base import read_file\n",
            "config/appservice": "",
        }.items():
            self.write(f"synapse/{name}.py", text)

    def write(self, path: str, text: str) -> None:
        file = self.packages / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))

    def parse(self, body: str, *options: str) -> tuple[int, str]:
        """Return the status of the program, and what it has written to its standard error."""
        self.write("synapse/config/homeserver.py", _HOMESERVER.replace("{body}", body))
        return self.run(*options)

    def run(self, *options: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-S", "-B", "-c", PROGRAM, ",".join(options), "one", "two"],
            cwd=self.place,
            env={"PYTHONPATH": str(self.packages)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr


@pytest.fixture
def synapse(tmp_path: pathlib.Path) -> Synapse:
    return Synapse(tmp_path)


def test_passes_the_arguments(synapse: Synapse) -> None:
    assert synapse.parse("raise _base.ConfigError(repr(arguments))") == (REFUSED, "\n['one', 'two']\n")
    assert synapse.parse("pass") == (ACCEPTED, "")


@pytest.mark.parametrize(
    "body",
    [
        "os.makedirs('a/b/c', exist_ok=True); assert os.path.isdir('a/b/c') and os.path.exists('a/b')",
        "import pathlib; pathlib.Path('a').mkdir(); pathlib.Path('a/b').mkdir()",
        "os.mkdir(b'a')",
    ],
)
def test_creates_no_directory(synapse: Synapse, body: str) -> None:
    assert synapse.parse(body) == (ACCEPTED, "")
    assert os.listdir(synapse.place) == []


def test_a_temporary_directory_of_a_module_is_real(synapse: Synapse) -> None:
    body = "import tempfile; tempfile.tempdir = os.getcwd(); open(os.path.join(tempfile.mkdtemp(), 'a'), 'w').close()"
    assert synapse.parse(body) == (ACCEPTED, "")
    assert len(os.listdir(synapse.place)) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("os.makedirs('file/a')", "NotADirectoryError: [Errno 20] Not a directory: 'file/a'"),
        ("os.makedirs('file', exist_ok=True)", "FileExistsError: [Errno 17] File exists: 'file'"),
        ("os.mkdir('a/b')", "FileNotFoundError: [Errno 2] No such file or directory: 'a/b'"),
        ("os.mkdir('a'); os.mkdir('a')", "FileExistsError: [Errno 17] File exists: 'a'"),
        ("os.makedirs('a\\0b')".replace("\0", "\\0"), "ValueError: embedded null byte"),
    ],
)
def test_refuses_what_the_kernel_would_refuse(synapse: Synapse, body: str, words: str) -> None:
    (synapse.place / "file").touch()
    status, errors = synapse.parse(body)
    assert (status, errors.splitlines()[-1]) == (REFUSED, words)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("options", [(), (ANY_DIRECTORY,)])
def test_needs_the_permission_to_create_a_directory(synapse: Synapse, options: tuple[str, ...]) -> None:
    synapse.place.chmod(0o555)
    assert synapse.parse("os.makedirs('a/b')", *options)[0] == (ACCEPTED if options else REFUSED)


def test_says_where_a_fault_is(synapse: Synapse) -> None:
    assert synapse.parse("raise _base.ConfigError(' no\\n', ('a', 'b'))") == (REFUSED, "\na.b: no\n")
    assert synapse.parse("raise _base.ConfigError('no', 'a')") == (REFUSED, "\na: no\n")
    status, errors = synapse.parse("_base.read_file('missing', ('a',))")
    assert errors == "\na: no missing: [Errno 2] No such file or directory: 'missing'\n"


@pytest.mark.parametrize("code", ["None", "0", "1"])
def test_is_not_accepted_if_a_module_ends_the_process(synapse: Synapse, code: str) -> None:
    errors = f"\n\nIt was ended ({code}) while it read its configuration\n"
    assert synapse.parse(f"raise SystemExit({code})") == (REFUSED, errors)
    assert synapse.parse("raise SystemExit('no')") == (REFUSED, "\nno\n")
    assert synapse.parse("os._exit(0)") == (0, "")


def test_ends_if_nobody_reads_what_it_says(synapse: Synapse) -> None:
    # As after the death of the task.
    synapse.write("synapse/config/homeserver.py", _HOMESERVER.replace("{body}", "os.write(1, b'x'); os.read(0, 1)"))
    command = [sys.executable, "-S", "-B", "-c", PROGRAM, ""]
    environment = {"PYTHONPATH": str(synapse.packages)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=synapse.place, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.read(1) == b"x"
        process.stderr.close()
        assert process.wait(30) == -signal.SIGKILL


def test_makes_no_key_but_accepts_that_there_is_none_yet(synapse: Synapse) -> None:
    body = "key.KeyConfig().read_signing_keys('key', 'signing_key')"
    assert synapse.parse(body)[0] == REFUSED
    assert synapse.parse(body, NEW_KEY) == (ACCEPTED, "")
    assert synapse.parse(body.replace("'key'", "'none/key'"), NEW_KEY)[0] == REFUSED
    assert synapse.parse(body.replace("'signing_key'", "'key_server_signing_keys_path'"), NEW_KEY)[0] == REFUSED
    assert os.listdir(synapse.place) == []


def test_makes_no_secret_but_accepts_that_there_is_none_yet(synapse: Synapse) -> None:
    body = "registration.read_file('secret', ('registration_shared_secret_path',))"
    assert synapse.parse(body) == (ACCEPTED, "")
    assert synapse.parse(body.replace("registration_shared", "macaroon"))[0] == REFUSED
    assert os.listdir(synapse.place) == []


def test_does_not_need_the_functions_that_it_replaces(synapse: Synapse) -> None:
    for name in ("key", "registration"):
        synapse.write(f"synapse/config/{name}.py", "")
    assert synapse.parse("os.makedirs('a')", NEW_KEY) == (ACCEPTED, "")


def test_names_a_missing_synapse_as_python_does(synapse: Synapse) -> None:
    synapse.packages.rename(synapse.place / "elsewhere")
    assert synapse.run() == (1, f"{sys.executable}: No module named synapse\n")


def test_runs_nothing_in_the_working_directory_if_it_is_isolated(synapse: Synapse) -> None:
    for name in ("errno", "logging", "tempfile", "yaml"):
        (synapse.place / f"{name}.py").write_text("raise SystemExit('evil')\n")
    assert synapse.parse("pass", ISOLATED) == (ACCEPTED, "")


def _handler(kind: str, **options: t.Any) -> str:
    """Return a log configuration with this handler."""
    return json.dumps({"version": 1, "handlers": {"a": {"class": kind, **options}}, "root": {"handlers": ["a"]}})


class TestWhatSynapseReadsAtItsStart:
    def test_registrations_without_their_tokens(self, synapse: Synapse) -> None:
        synapse.write(
            "synapse/config/appservice.py", "def load_appservices(name, files): raise ValueError(open(files[0]).read())"
        )
        synapse.write("yaml.py", "import json\nsafe_load = json.load\n")
        (synapse.place / "bridge.yaml").write_text('{"as_token": "hush1", "hs_token": "hush2"}')
        body = (
            "import synapse.config.appservice;"
            " config.appservice = types.SimpleNamespace(app_service_config_files=['bridge.yaml']);"
            " config.server = types.SimpleNamespace(server_name='x')"
        )
        status, errors = synapse.parse(body)
        assert (status, "hush" in errors) == (REFUSED, False)
        assert "app_service_config_files: ValueError: " in errors

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('{"version": 1}', ""),
            ("{}", "ValueError: dictionary doesn't specify a version"),
            ("{", "JSONDecodeError: "),
            ('{"version": 1, "root": {"handlers": ["a"]}}', "Unable to configure root logger: "),
            ('{"version": 1, "root": {"level": "INFOO"}}', "Unknown level: 'INFOO'"),
            (_handler("logging.FileHandler", filename="new.log", maxBytes=3), "maxBytes"),
            (_handler("logging.FileHandler", filename="new.log"), ""),
            (_handler("logging.FileHandler", filename="old.log"), ""),
            (_handler("logging.FileHandler", filename="none/new.log"), "No such file or directory: '"),
            (_handler("logging.FileHandler", filename="directory"), "Is a directory: '"),
            (_handler("logging.handlers.RotatingFileHandler", filename="new.log", maxBytes=3), ""),
            (_handler("logging.StreamHandler", stream="ext://sys.stdout"), ""),
            # It would connect to a host.
            (_handler("logging.handlers.SysLogHandler", address=["127.0.0.1", 1], socktype=1), ""),
            (_handler("nonsense.Handler"), "Cannot resolve 'nonsense.Handler'"),
            (_handler("logging.NullHandler", level="INFOO"), "Unknown level: 'INFOO'"),
        ],
    )
    def test_the_log_configuration(self, synapse: Synapse, text: str, words: str) -> None:
        self._write_logger(synapse)
        (synapse.place / "log").write_text(text)
        (synapse.place / "old.log").write_text("old")
        (synapse.place / "directory").mkdir()
        status, errors = synapse.parse(self._logging(log_config="log"))
        assert (status, words in errors) == (REFUSED if words else ACCEPTED, True)
        assert not words or errors.startswith("\nlog_config log: ")
        assert sorted(os.listdir(synapse.place)) == ["directory", "log", "old.log"]
        assert (synapse.place / "old.log").read_text() == "old"

    def test_a_log_configuration_that_only_the_main_process_makes(self, synapse: Synapse) -> None:
        self._write_logger(synapse)
        assert synapse.parse(self._logging(log_config="log")) == (ACCEPTED, "")
        assert synapse.parse(self._logging(log_config="none/log"))[0] == REFUSED
        worker = self._logging("synapse.app.generic_worker", log_config="none/log", worker_log_config="log")
        status, errors = synapse.parse(worker, WORKER)
        assert (status, "worker_log_config log: FileNotFoundError: " in errors) == (REFUSED, True)
        (synapse.place / "log").write_text('{"version": 1}')
        assert synapse.parse(worker, WORKER) == (ACCEPTED, "")
        assert os.listdir(synapse.place) == ["log"]

    @staticmethod
    def _write_logger(synapse: Synapse) -> None:
        synapse.write(
            "synapse/config/logger.py",
            """
            import json, logging.config
            def _load_logging_config(path):
                logging.config.dictConfig(json.load(open(path)))
            """,
        )
        synapse.write("synapse/app/generic_worker.py", "raise RuntimeError\n")
        synapse.write("synapse/app/__init__.py", "")

    @staticmethod
    def _logging(app: str = "", *, log_config: str, worker_log_config: str = "") -> str:
        return (
            "import synapse.config.logger;"
            f" config.logging = types.SimpleNamespace(log_config={log_config!r});"
            f" config.worker = types.SimpleNamespace(worker_app={app!r}, worker_log_config={worker_log_config!r})"
        )

    def test_the_driver_of_postgresql(self, synapse: Synapse) -> None:
        body = "config.database = types.SimpleNamespace(databases=[types.SimpleNamespace(config={'name': 'psycopg2'})])"
        assert "No module named 'psycopg2'" in synapse.parse(body)[1]
        synapse.write("psycopg2.py", "")
        assert synapse.parse(body) == (ACCEPTED, "")

    @pytest.mark.parametrize(
        ("app", "options", "words"),
        [
            ("synapse.app.generic_worker", (WORKER,), ""),
            (
                "synapse.app.generic_worker",
                (),
                "worker_app is set, but the main process of Synapse does not start with",
            ),
            ("synapse.app.generic_workers", (WORKER,), "worker_app: Synapse has no worker synapse.app.generic_workers"),
            ("os", (WORKER,), "worker_app: Synapse has no worker os"),
            (3, (WORKER,), "worker_app: Synapse has no worker 3"),
        ],
    )
    def test_the_program_of_a_worker(
        self, synapse: Synapse, app: str | int, options: tuple[str, ...], words: str
    ) -> None:
        self._write_logger(synapse)
        status, errors = synapse.parse(f"config.worker = types.SimpleNamespace(worker_app={app!r})", *options)
        assert (status, words in errors) == (REFUSED if words else ACCEPTED, True)
