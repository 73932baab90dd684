# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A configuration is tested as nginx would read it, and what others have on the host is found before it is changed."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import shutil
import socket
import stat
import typing as t

import pytest

_SCRIPT = pathlib.Path(__file__).parents[4] / "roles" / "synapse_reverse_proxy" / "files" / "manage_nginx.py"
_TEMPLATE = "server {\n    @listen https@\n    server_name x;\n}\nserver {\n    @listen http@\n}\n"


@pytest.fixture
def script() -> t.Any:
    specification = importlib.util.spec_from_file_location("manage_nginx", _SCRIPT)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _nginx(script: t.Any, **values: object) -> t.Any:
    nginx = script.Nginx.__new__(script.Nginx)
    nginx.__dict__.update({"version": (1, 22, 1), "has_http2": True, **values})
    return nginx


def _question(**values: object) -> dict[str, t.Any]:
    return {"template": _TEMPLATE, "addresses": ["::1", "127.0.0.1"], "ports": {"https": [443], "http": []}, **values}


@pytest.mark.parametrize(
    ("version", "has_http2", "expected"),
    [
        ((1, 25, 0), True, ["listen [::1]:443 ssl http2;", "listen 127.0.0.1:443 ssl http2;"]),
        ((1, 25, 1), True, ["listen [::1]:443 ssl;", "listen 127.0.0.1:443 ssl;", "http2 on;"]),
        ((1, 26, 0), False, ["listen [::1]:443 ssl;", "listen 127.0.0.1:443 ssl;"]),
    ],
)
def test_http2_is_written_as_the_version_wants_it(
    script: t.Any, version: tuple[int, ...], has_http2: bool, expected: list[str]
) -> None:
    content = script.complete(_question(), _nginx(script, version=version, has_http2=has_http2))
    lines = "".join(f"    {line}\n" for line in expected)
    assert content == f"server {{\n{lines}    server_name x;\n}}\nserver {{\n}}\n"


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("/etc/nginx/conf.d/a.conf", "/etc/nginx/conf.d/*.conf", True),
        ("/etc/nginx/conf.d/a.conf", "/etc/nginx/conf.d/[a-c].conf", True),
        ("/etc/nginx/conf.d/a.conf", "/etc/nginx/*/?.conf", True),
        ("/etc/nginx/conf.d/a.conf", "/etc/nginx/*.conf", False),
        ("/etc/nginx/conf.d/a.conf", "/etc/nginx/conf.d/[!a].conf", False),
        ("/etc/nginx/conf.d/aXconf", "/etc/nginx/conf.d/a.conf", False),
    ],
)
def test_patterns_match_as_in_nginx(script: t.Any, path: str, pattern: str, expected: bool) -> None:
    assert script.matches(path, pattern) is expected


class Trial:
    """An nginx that prints the main file it gets, and a directory with its configuration."""

    def __init__(self, script: t.Any, path: pathlib.Path, main: str) -> None:
        self.path = path / "nginx"
        (self.path / "conf.d").mkdir(parents=True)
        (self.path / "nginx.conf").write_text(main, encoding="utf-8")
        program = path / "program"
        program.write_text('#!/bin/sh\ncat "$3"\ncd "${3%/*}" && ls >&2\n', encoding="utf-8")
        program.chmod(0o755)
        work = path / "work"
        work.mkdir()
        nginx = _nginx(script, path=str(program), main_file=str(self.path / "nginx.conf"))
        self.trial = script.Trial(nginx, str(self.path / "conf.d/m.conf"), str(work))


def test_the_file_takes_its_place_among_others(script: t.Any, tmp_path: pathlib.Path) -> None:
    host = Trial(script, tmp_path, "pid /run/nginx.pid;\n# include conf.d/*;\nhttp { include conf.d/*.conf; }\n")
    for name in ("a.conf", "m.conf", "z.conf", "other"):
        (host.path / "conf.d" / name).touch()
    expected = " ".join(f'include "{host.path}/conf.d/{name}.conf";' for name in "amz")
    refused, said, dump = host.trial.test("server {}\n")
    assert refused == ""
    assert dump == "# include conf.d/*;\nhttp { " + expected + " }"
    # Relative paths of other files are found beside the main file.
    assert said.split() == ["conf.d", "nginx.conf"]
    assert host.trial.is_included
    assert "m.conf" not in host.trial.test(None)[2]


def test_a_file_that_nothing_includes_is_noticed(script: t.Any, tmp_path: pathlib.Path) -> None:
    host = Trial(script, tmp_path, "http { include sites/*.conf; }\n")
    host.trial.test("server {}\n")
    assert not host.trial.is_included


def test_the_file_that_has_the_name_already_is_named(script: t.Any) -> None:
    warnings = 'nginx: [warn] conflicting server name "a.example" on 0.0.0.0:443, ignored\n' + (
        'nginx: [warn] conflicting server name "www.example" on 0.0.0.0:443, ignored\n'
    )
    dump = (
        "# configuration file /n/m.conf:\nserver_name a.example;\n"
        "# configuration file /n/web.conf:\nserver_name b.example\n  A.example;\n"
        "# configuration file /n/none.conf:\n# server_name a.example;\nserver_name a.example.org www.a.example;\n"
    )
    question = {"names": ["a.example"], "config_path": "/n/m.conf"}
    (sentence,) = script.conflicts(question, warnings, dump)
    assert sentence.startswith("/n/web.conf already serves a.example on 0.0.0.0:443, and")
    assert script.conflicts({**question, "names": ["b.example"]}, warnings, dump) == []


def test_a_port_of_another_program_is_found(script: t.Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        names = {str(port): "synapse_reverse_proxy_https_port"}
        question = _question(ports={"https": [port], "http": []}, port_names=names)
        (sentence,) = script.taken_ports(question)
        assert sentence.startswith(f"Port {port} of this host is used by ")
        assert sentence.endswith("set synapse_reverse_proxy_https_port to another port.")
        assert script.taken_ports({**question, "addresses": ["0.0.0.0"]})
        assert script.taken_ports({**question, "addresses": ["127.0.0.2"]}) == []
    assert script.taken_ports(question) == []


def test_reasons_are_shown_once(script: t.Any) -> None:
    said = "2026/01/02 03:04:05 [warn] 7#7: old\n2026/01/02 03:04:05 [emerg] 7#7: bad\nnginx: [emerg] bad\n"
    assert script.reasons(said) == "[emerg] bad"
    assert script.reasons("Job failed.\nSee the journal.\n") == "Job failed. See the journal."


@pytest.mark.skipif(not shutil.which("openssl"), reason="it needs openssl")
def test_a_certificate_has_all_names_and_is_of_its_owner_alone(script: t.Any, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "made.pem"
    (tmp_path / "made.pem.unfinished").touch(mode=0o644)
    script.make_certificate(["A.example", "192.0.2.1", "[2001:DB8::1]"], str(path))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["made.pem"]
    assert not script.is_foreign(path.read_text(encoding="ascii"))
    assert script.certificate_names(str(path)) == {"a.example", "192.0.2.1", "2001:db8::1"}


def test_a_file_of_others_is_recognized(script: t.Any) -> None:
    assert script.is_foreign("server {}\n# matrix_ops.synapse\n")
    assert not script.is_foreign("# Written by matrix_ops.synapse\n")
    assert not script.is_foreign("")
    assert not script.is_foreign(None)
