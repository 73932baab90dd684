# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A configuration is tested as nginx would read it."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files import try_configuration
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.host_of_nginx import Nginx


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("/etc/nginx/conf.d/a.conf", "/etc/nginx/conf.d/*.conf", True),
        ("/etc/nginx/conf.d/a.conf", "/etc/nginx/conf.d/[a-c].conf", True),
        ("/etc/nginx/conf.d/a.conf", "/etc/nginx/*/?.conf", True),
        ("/etc/nginx/conf.d/a.conf", "/etc/nginx/*.conf", False),
        ("/etc/nginx/conf.d/a.conf", "/etc/nginx/conf.d/[!a].conf", False),
        ("/etc/nginx/conf.d/.a.conf", "/etc/nginx/conf.d/*.conf", False),
        ("/etc/nginx/conf.d/.a.conf", "/etc/nginx/conf.d/.*.conf", True),
        ("/etc/nginx/conf.d/aXconf", "/etc/nginx/conf.d/a.conf", False),
    ],
)
def test_patterns_match_as_in_nginx(path: str, pattern: str, expected: bool) -> None:
    assert try_configuration.matches(path, pattern) is expected


class Trial:
    """An nginx that prints the main file it gets, and a directory with its configuration."""

    def __init__(self, path: pathlib.Path, main: str) -> None:
        self.path = path / "nginx"
        (self.path / "conf.d").mkdir(parents=True)
        (self.path / "nginx.conf").write_text(main, encoding="utf-8")
        program = path / "program"
        program.write_text('#!/bin/sh\ncat "$3"\ncd "${3%/*}" && ls >&2\n', encoding="utf-8")
        program.chmod(0o755)
        work = path / "work"
        work.mkdir()
        nginx = Nginx.__new__(Nginx)
        nginx.__dict__.update({"path": str(program), "main_file": str(self.path / "nginx.conf")})
        self.trial = try_configuration.Trial(nginx, str(self.path / "conf.d/m.conf"), str(work))


def test_the_file_takes_its_place_among_others(tmp_path: pathlib.Path) -> None:
    host = Trial(tmp_path, "pid /run/nginx.pid;\n# include conf.d/*;\nhttp { include conf.d/*.conf; }\n")
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


def test_a_file_that_nothing_includes_is_noticed(tmp_path: pathlib.Path) -> None:
    host = Trial(tmp_path, "http { include sites/*.conf; }\n")
    host.trial.test("server {}\n")
    assert not host.trial.is_included


class Answers:
    """An nginx that refuses what a test says. `refused`: with the file of the role, and without it.

    `tested`: the contents of that file; `made`: the paths of certificates.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refused: str = "", others: str = "") -> None:
        self.is_included = True
        self.tested: list[str | None] = []
        self.made: list[str] = []
        self._refused, self._others = refused, others
        monkeypatch.setattr(try_configuration, "Trial", lambda _nginx, _path, _directory: self)
        monkeypatch.setattr(try_configuration, "make_certificate", lambda _names, path: self.made.append(path))
        monkeypatch.setattr(try_configuration, "conflicts", lambda _question, warnings, dump: [warnings + dump])
        monkeypatch.setattr(try_configuration, "hidden_addresses", lambda _question, dump: [dump])

    def test(self, content: str | None) -> tuple[str, str, str]:
        self.tested.append(content)
        return self._others if content is None else self._refused, "warning ", "dump"

    def refusals(self, *, makes: bool = False, state: str = "present", **values: str) -> list[str]:
        question = {
            "state": state,
            "config_path": "/n/m.conf",
            "self_signed_path": "/n/m.pem",
            "names": ["a.example"],
            "values": values,
        }
        nginx = Nginx.__new__(Nginx)
        nginx.main_file = "/n/nginx.conf"
        return try_configuration.refusals(question, nginx, "ssl_certificate /n/m.pem;", makes)


def test_a_configuration_that_nginx_accepts_can_still_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    nginx = Answers(monkeypatch)
    assert nginx.refusals() == ["warning dump", "dump"]
    assert (nginx.tested, nginx.made) == (["ssl_certificate /n/m.pem;"], [])
    assert nginx.refusals(state="absent", makes=True) == []
    assert (nginx.tested[1:], nginx.made) == ([None], [])


def test_a_certificate_that_is_not_there_yet_is_made_for_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    nginx = Answers(monkeypatch)
    nginx.refusals(makes=True)
    [path] = nginx.made
    assert path.endswith("/.site/certificate.pem")
    assert nginx.tested == [f"ssl_certificate {path};"]


def test_a_path_that_nginx_does_not_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    nginx = Answers(monkeypatch)
    nginx.is_included = False
    (sentence,) = nginx.refusals()
    assert sentence.startswith("nginx would not read /n/m.conf: no include of /n/nginx.conf matches it.")
    assert nginx.refusals(state="absent") == []


def test_the_variable_of_a_refused_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    nginx = Answers(monkeypatch, refused="nginx: [emerg] cannot load /x.crt\n")
    beginning = "nginx refuses the configuration, so it was not written: [emerg] cannot load /x.crt."
    assert nginx.refusals() == [beginning]
    assert nginx.refusals(a="/x.crt", b="", c="/y.crt", d="cannot") == [
        f"{beginning} The variable of this value is a or d."
    ]


def test_what_others_have_written_is_not_the_fault_of_the_role(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = (
        "nginx refuses its configuration also without the file of this role, so correct that first: [emerg] of others"
    )
    nginx = Answers(monkeypatch, refused="nginx: [emerg] any", others="nginx: [emerg] of others")
    assert nginx.refusals() == [expected]
    assert nginx.tested[1:] == [None]
    assert nginx.refusals(state="absent") == [expected]


def test_hidden_files_and_quotes_are_those_of_nginx(tmp_path: pathlib.Path) -> None:
    host = Trial(tmp_path, "user x;\n  pid logs/nginx.pid;\ninclude 'conf.d/[lm].conf';\n")
    for name in ("l.conf", "m.conf"):
        (host.path / "conf.d" / name).touch()
    dump = host.trial.test("server {}\n")[2]
    assert dump == f'user x;\n\ninclude "{host.path}/conf.d/l.conf"; include "{host.path}/conf.d/m.conf";'
    assert "server {}" not in dump


def test_nginx_that_has_a_pid_elsewhere_is_asked_again(tmp_path: pathlib.Path) -> None:
    host = Trial(tmp_path, "include conf.d/*.conf;\n")
    program = pathlib.Path(host.trial.nginx.path)
    program.write_text(
        '#!/bin/sh\nif [ "$4" ]; then echo \'nginx: [emerg] "pid" directive is duplicate\' >&2; exit 1; fi\n'
        'echo "nginx: configuration file $3 test is successful" >&2\n',
        encoding="utf-8",
    )
    assert host.trial.test("server {}\n") == ("", "", "")
    program.write_text('#!/bin/sh\necho "[emerg] bad in $3:1" >&2; exit 1\n', encoding="utf-8")
    said = f"[emerg] bad in {host.path}/nginx.conf:1"
    assert host.trial.test("server {}\n") == (said, said, "")
