# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import Completed
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.journal import read_attempts
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.check.last_words import last_words

UNIT = "matrix-synapse.service"
# As Python 3.11, PyYAML 6.0 and Synapse 1.163.2 write them.
YAML = """Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "/venv/lib/python3.11/site-packages/yaml/scanner.py", line 577, in fetch_value
    raise ScannerError(None, None,
yaml.scanner.ScannerError: mapping values are not allowed here
  in "/etc/matrix-synapse/conf.d/50-mine.yaml", line 3, column 8"""
QUOTING = """Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/yaml/composer.py", line 63, in compose_node
    raise ComposerError(None, None, "found undefined alias %r"
yaml.composer.ComposerError: found undefined alias 'my-secret-alias'
  in "<unicode string>", line 1, column 12:
    password: *my-secret-alias
               ^"""
CONTEXT = """Traceback (most recent call last):
  File "/a.py", line 1, in b
yaml.parser.ParserError: while parsing a flow sequence
  in "/e/homeserver.yaml", line 1, column 4
expected ',' or ']', but got '<block end>'
  in "/e/homeserver.yaml", line 2, column 1"""
CONFIGURATION = """
Error in configuration at 'oidc_config.user_mapping_provider':
  Failed to parse config for module 'JinjaOidcMappingProvider':
    invalid jinja template:
      unexpected end of template.
"""
STARTUP = """**************************************************
 Error during initialisation:
     Traceback (most recent call last):
       File "/venv/synapse/app/homeserver.py", line 380, in setup
         hs.start_listening()
     twisted.internet.error.CannotListenError: Couldn't listen on 127.0.0.1:8008: [Errno 98] Address already in use.

 There may be more information in the logs.
**************************************************"""
DATABASE = """ Error during initialisation:
     Traceback (most recent call last):
       File "/venv/synapse/app/_base.py", line 9, in a
         b()
     psycopg2.OperationalError: connection to server at "127.0.0.1", port 5432 failed: Connection refused
     \tIs the server running on that host and accepting TCP/IP connections?
 There may be more information in the logs."""
CHAINED = """Traceback (most recent call last):
  File "/a.py", line 1, in b
ValueError: first

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/a.py", line 2, in c
ModuleNotFoundError: No module named 'psycopg2'"""
NO_SYNAPSE = "/opt/python: Error while finding module specification for 'synapse.app.homeserver' (ModuleNotFoundError)"


def entries(text: t.Any, start: str = "a", **fields: t.Any) -> list[dict[str, t.Any]]:
    messages = text.split("\n") if isinstance(text, str) else [text]
    return [
        {"MESSAGE": message, "_SYSTEMD_UNIT": UNIT, "_SYSTEMD_INVOCATION_ID": start, **fields} for message in messages
    ]


def of_systemd(text: str, start: str = "a") -> dict[str, t.Any]:
    return {"MESSAGE": text, "_SYSTEMD_UNIT": "init.scope", "UNIT": UNIT, "INVOCATION_ID": start}


def words(*lines: t.Any, secrets: t.Collection[str] | None = ()) -> str:
    asked: list[t.Sequence[str]] = []

    def run(arguments: t.Sequence[str], timeout: float) -> Completed:
        asked.append(arguments)
        assert timeout == 5
        return Completed(0, "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), "")

    found = last_words(read_attempts(UNIT, run, 5), secrets)
    [arguments] = asked
    assert f"--unit={UNIT}" in arguments
    assert "--lines=400" in arguments
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            YAML,
            "yaml.scanner.ScannerError: mapping values are not allowed here in"
            ' "/etc/matrix-synapse/conf.d/50-mine.yaml", line 3, column 8.',
        ),
        (
            QUOTING,
            "yaml.composer.ComposerError: found undefined alias '(hidden)' in \"<unicode string>\", line 1, column 12.",
        ),
        (
            CONTEXT,
            'yaml.parser.ParserError: while parsing a flow sequence in "/e/homeserver.yaml", line 1, column 4 expected'
            " ',' or ']', but got '<block end>' in \"/e/homeserver.yaml\", line 2, column 1.",
        ),
        (
            CONFIGURATION,
            "Error in configuration at 'oidc_config.user_mapping_provider': Failed to parse config for module"
            " 'JinjaOidcMappingProvider': invalid jinja template: unexpected end of template.",
        ),
        (
            STARTUP,
            "twisted.internet.error.CannotListenError: Couldn't listen on 127.0.0.1:8008: [Errno 98] Address already in"
            " use.",
        ),
        (
            DATABASE,
            'psycopg2.OperationalError: connection to server at "127.0.0.1", port 5432 failed: Connection refused Is'
            " the server running on that host and accepting TCP/IP connections?",
        ),
        (CHAINED, "ModuleNotFoundError: No module named 'psycopg2' (the first error was ValueError: first)."),
        (NO_SYNAPSE, f"{NO_SYNAPSE}."),
        ("Config is missing macaroon_secret_key\nbye", ""),
        ('Traceback (most recent call last):\n  File "/a.py"', ""),
        ('Traceback (most recent call last):\n  File "/a.py"\n    Listener\nKeyboardInterrupt', "KeyboardInterrupt."),
    ],
)
def test_the_words_of_synapse(text: str, expected: str) -> None:
    assert words(of_systemd("Starting Synapse..."), *entries(text), of_systemd("Failed with result.")) == expected


def test_the_words_are_reported_once() -> None:
    attempts = [entry for start in "abc" for entry in (of_systemd("Starting", start), *entries(YAML, start))]
    assert words(*attempts).count("ScannerError") == 1


def test_the_last_two_starts_count() -> None:
    old = [of_systemd("Starting", "a"), *entries(YAML, "a")]
    assert "ScannerError" in words(*old, of_systemd("Starting", "b"))
    assert words(*old, of_systemd("Starting", "b"), of_systemd("Starting", "c")) == ""
    assert "psycopg2" in words(*old, of_systemd("Starting", "b"), *entries(CHAINED, "b"))


def test_secrets_are_hidden() -> None:
    text = "Error in configuration at 'redis':\n  'hunter2222' is not of type 'object'"
    assert words(*entries(text), secrets=["hunter2222"]) == (
        "Error in configuration at 'redis': '(hidden)' is not of type 'object'."
    )
    # If the secrets are unknown, all values are hidden, but not the setting.
    assert words(*entries(text), secrets=None) == (
        "Error in configuration at 'redis': '(hidden)' is not of type '(hidden)'."
    )
    text = "Error in configuration:\n  Error accessing '/etc/gone', '/secret/ab', \"it's\" and '/12'"
    assert words(*entries(text), secrets=None) == (
        "Error in configuration: Error accessing '/etc/gone', '(hidden)', \"(hidden)\" and '/12'."
    )
    assert words(*entries(CHAINED), secrets=None) == (
        "ModuleNotFoundError: No module named 'psycopg2' (the first error was ValueError: first)."
    )
    assert "hunter2222" not in words(*entries(text.replace("'object'", "x" * 400)), secrets=["hunter2222"])


def test_the_words_are_short_and_printable() -> None:
    found = words(*entries("Error in configuration:\n  " + "\x1b[31m\u202e" + "word " * 500))
    assert len(found) == 300
    assert found.isprintable()
    assert words(*entries("Error in configuration:\n" + "  a\n" * 40)).count(" a") == 9


def test_messages_that_are_not_text() -> None:
    binary = list(b"Error in configuration:")
    assert words(*entries(binary), *entries([*b"  bad \xff"])) == "Error in configuration: bad \ufffd."
    assert words(*entries(["Error in configuration:", "  twice"])) == "Error in configuration: twice."
    odd: list[t.Any] = [None, 7, {"a": 1}, [300], [[1]], [None], [True, "x"]]
    assert words(*[entry for one in odd for entry in entries(one)]) == ""


def test_an_output_that_is_no_journal() -> None:
    assert words("", "{", "[]", "7", "null", "[" * 100_000, '{"MESSAGE": "x"}', "-- No entries --") == ""
    assert words(*entries(YAML, _SYSTEMD_UNIT="other.service")) == ""


MARKER = "Found file in config directory that does not end in '.yaml': '/e/conf.d/.matrix_ops.synapse'. IGNORING."
# As Python 3.11 and Synapse 1.163.2 write them.
READ_ONLY = """Traceback (most recent call last):
  File "/usr/lib/python3.11/logging/config.py", line 573, in configure
    handler = self.configure_handler(handlers[name])
OSError: [Errno 30] Read-only file system: '/var/log/matrix-synapse/homeserver.log'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/usr/lib/python3.11/logging/config.py", line 580, in configure
    raise ValueError('Unable to configure handler '
ValueError: Unable to configure handler 'file'"""
PORT = """ Error during initialisation:
     Traceback (most recent call last):
       File "/venv/twisted/internet/tcp.py", line 1353, in startListening
         skt.bind(addr)
     OSError: [Errno 98] Address already in use

     During handling of the above exception, another exception occurred:

     Traceback (most recent call last):
       File "/venv/synapse/app/_base.py", line 9, in a
     twisted.internet.error.CannotListenError: Couldn't listen on 127.0.0.1:8008: [Errno 98] Address already in use.

     The above exception was the direct cause of the following exception:

     Traceback (most recent call last):
       File "/venv/synapse/app/_base.py", line 10, in b
     synapse.app._base.ListenerException: Failed to listen on TCP port (8008) with the given listener config: TCP"""
PORT += f"ListenerConfig({'x' * 400})\n There may be more information in the logs."


def test_the_first_exception_of_a_chain() -> None:
    read_only = "OSError: [Errno 30] Read-only file system: '/var/log/matrix-synapse/homeserver.log'"
    assert words(*entries(READ_ONLY), secrets=[]) == (
        f"ValueError: Unable to configure handler 'file' (the first error was {read_only})."
    )
    in_use = "OSError: [Errno 98] Address already in use"
    assert words(*entries(PORT), secrets=[]) == (
        f"synapse.app._base.ListenerException: Failed to listen on TCP port (8008) (the first error was {in_use})."
    )
    # An exception before the chain belongs to something else.
    assert "bad" not in words(*entries("Traceback (most recent call last):\nKeyError: 'bad'\n" + READ_ONLY), secrets=[])


def test_a_long_chain_is_short_and_has_no_secrets() -> None:
    text = READ_ONLY.replace("'file'", f"'hunter2222' {'word ' * 99}").replace(
        "Read-only", f"hunter2222 {'long ' * 99}"
    )
    found = words(*entries(text), secrets=["hunter2222"])
    assert len(found) <= 301
    assert "hunter2222" not in found
    assert "OSError: [Errno 30] (hidden) long" in found
    yaml = QUOTING + "\n\nDuring handling of the above exception, another exception occurred:\n\n" + CHAINED
    assert "my-secret-alias" not in words(*entries(yaml), secrets=[])


def test_lines_that_do_not_belong_to_the_reason() -> None:
    noise = [
        MARKER,
        "Found subdirectory in config directory: '/e/conf.d/a'. IGNORING.",
        "Generating signing key file /e/a.signing.key",
        "Generating log config file /e/nolog.yaml which will log to /v/h.log",
    ]
    reason = "OSError: [Errno 30] Read-only file system: '/e/a.signing.key'"
    text = ["Traceback (most recent call last):", '  File "/a.py", line 1, in b', reason, *noise, "Correct."]
    assert words(*entries("\n".join(text))) == f"{reason} Correct."
    text = ["Error in configuration:", *noise, "  caches.global_factor must be a number", *noise]
    assert words(*entries("\n".join(text))) == "Error in configuration: caches.global_factor must be a number."
