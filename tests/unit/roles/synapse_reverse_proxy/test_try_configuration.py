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
