# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first configuration is that of Synapse without what the role sets itself, and is never made twice."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

_SCRIPT = pathlib.Path(__file__).parents[4] / "roles" / "synapse_homeserver" / "files" / "generate_configuration.py"
# What stands for Synapse: it writes a configuration like that of Synapse.
_SYNAPSE = r'''
import sys
given = dict(word.partition("=")[::2] for word in sys.argv[1:])
if given["--server-name"] == "bad":
    sys.exit("no such name")
directory, path = given["--config-directory"], given["--config-path"]
open(f"{directory}/x.org.signing.key", "w").write("ed25519 key\n")
open(path, "w").write(f"""# A comment.
server_name: "{given["--server-name"]}"
pid_file: {given["--data-directory"]}/homeserver.pid
listeners:
  - port: 8008
    resources:
    - names: [client]

- of an unindented list
database:
  name: sqlite3
# of the database
  args: {{}}
log_config: "{directory}/x.org.log.config"
report_stats: {given["--report-stats"] == "yes"}
signing_key_path: "{directory}/x.org.signing.key"
""")
'''


class Host:
    """A host whose Synapse is `_SYNAPSE`."""

    def __init__(self, path: pathlib.Path) -> None:
        self.directory = path / "etc"
        self.directory.mkdir()
        self.path = self.directory / "homeserver.yaml"
        self._modules = path / "modules"
        package = self._modules / "synapse" / "app"
        package.mkdir(parents=True)
        (package / "homeserver.py").write_text(_SYNAPSE, encoding="utf-8")

    def generate(self, server_name: str = "x.org") -> int:
        """Return the exit status."""
        wanted = {
            "config_path": str(self.path),
            "server_name": server_name,
            "report_stats": False,
            "data_directory": "/data",
            "log_config": "/logs/log.yaml",
            "group": "",
        }
        environment = {**os.environ, "PYTHONPATH": str(self._modules)}
        done = subprocess.run(
            [sys.executable, str(_SCRIPT)],
            input=json.dumps(wanted),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


def test_what_the_role_sets_itself_is_left_out(host: Host) -> None:
    # What a run that was killed has left.
    (host.directory / ".matrix_ops-generating").mkdir()
    assert host.generate() == 0
    mark, text = host.path.read_text(encoding="utf-8").split("\n", 1)
    assert "role matrix_ops.synapse.synapse_homeserver" in mark
    assert text == (
        "# A comment.\n"
        'server_name: "x.org"\n'
        "pid_file: /data/homeserver.pid\n"
        'log_config: "/logs/log.yaml"\n'
        "report_stats: False\n"
        f'signing_key_path: "{host.directory}/x.org.signing.key"\n'
    )
    key = host.directory / "x.org.signing.key"
    assert key.read_text(encoding="utf-8") == "ed25519 key\n"
    assert {path.stat().st_mode & 0o777 for path in (key, host.path)} == {0o640}
    assert sorted(os.listdir(host.directory)) == ["homeserver.yaml", "x.org.signing.key"]


def test_what_is_there_stays(host: Host) -> None:
    host.path.write_text("own: 1\n", encoding="utf-8")
    assert host.generate() == 0
    assert (os.listdir(host.directory), host.path.read_text(encoding="utf-8")) == (["homeserver.yaml"], "own: 1\n")


def test_nothing_is_left_of_a_failure(host: Host) -> None:
    assert host.generate("bad") == 1
    assert os.listdir(host.directory) == []
