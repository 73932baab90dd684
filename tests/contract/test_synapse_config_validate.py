# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_config and synapse_config_info do with Synapse's own parser. No Synapse is started."""

from __future__ import annotations

import os
import re
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.configuration import (
    declared,
    look_at_files,
    unstarted,
    without_server,
    write,
    write_beside,
    write_configuration,
)
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import Parameters, Result, play

_WRONG = {"caches": {"global_factor": "hardly"}}
_WRONG_WORDS = r"caches\.global_factor must be a number\."
# Synapse's parser reads this key only.
_KEY = "ed25519 a_test CmxvX1YtBMpW3vpKW2pCLnbpkXEL1LpLpjoZ9PqhMEA\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = unstarted(tmp_path)
    write_configuration(made)
    write(tmp_path / "signing.key", _KEY)
    write_beside(
        made,
        {
            "00-paths.yaml": f"signing_key_path: {tmp_path}/signing.key\nmedia_store_path: {tmp_path}\n"
            "trusted_key_servers: []\nmacaroon_secret_key: hush-macaroon\n"
            "database: {name: sqlite3, args: {database: ':memory:'}}\n"
        },
    )
    return made


def _validated(place: Place, **parameters: t.Any) -> Parameters:
    return declared(
        place,
        **{
            "validate": "changed",
            "synapse_python": os.environ["CONTRACT_SYNAPSE_PYTHON"],
            "working_directory": str(place.directory),
            **parameters,
        },
    )


def _refused(place: Place, **parameters: t.Any) -> Result:
    """Run synapse_config, which must fail and leave everything as it was."""
    before = look_at_files(place)
    done = play(place, "synapse_config", _validated(place, **parameters), token=False)
    assert done.get("failed"), done
    assert done["changed"] is False
    assert look_at_files(place) == before
    assert "\n" not in done["msg"]
    assert "hush" not in str(done)
    return done


def _ask(place: Place, **parameters: t.Any) -> Result:
    done = play(
        place,
        "synapse_config_info",
        without_server(
            **{
                "config_path": place.server.config_path,
                "validate": True,
                "synapse_python": os.environ["CONTRACT_SYNAPSE_PYTHON"],
                "working_directory": str(place.directory),
                **parameters,
            }
        ),
        token=False,
    )
    assert not done.get("failed"), done
    return done


def test_settings_that_synapse_accepts(place: Place) -> None:
    parameters = _validated(place, settings={"caches": {"global_factor": 2.0}})
    assert play(place, "synapse_config", parameters, token=False)["changed"]
    before = look_at_files(place)
    done = play(place, "synapse_config", parameters, token=False)
    assert not done.get("failed"), done
    assert (done["changed"], look_at_files(place)) == (False, before)


def test_settings_that_synapse_refuses(place: Place) -> None:
    for _round in range(2):
        done = _refused(place, settings=_WRONG)
        assert re.search(
            rf"^The settings were not applied \(caches\.global_factor\), and nothing has changed\. .*{_WRONG_WORDS}",
            done["msg"],
        )
        assert "outcome" not in done
        assert done["validation"] == {
            "accepted": False,
            "cause": "configuration",
            "complaint": "caches.global_factor must be a number.",
        }
        # The second round replaces a file.
        play(place, "synapse_config", _validated(place, settings={"caches": {"global_factor": 2.0}}), token=False)


@pytest.mark.parametrize("missing", ["synapse_python", "working_directory"])
def test_check_mode_does_not_need_what_an_earlier_task_would_create(place: Place, missing: str) -> None:
    parameters = _validated(place, settings={"presence": {"enabled": False}}, **{missing: "/nonexistent/place"})
    done = play(place, "synapse_config", parameters, token=False, check=True)
    assert done["changed"], done
    message = _refused(place, **parameters)["msg"]
    assert re.search(rf"^{missing} /nonexistent/place (does not exist|is not a directory) on this host", message)


def test_without_the_python_of_synapse_only_known_faults_are_found(place: Place) -> None:
    message = _refused(place, settings={"max_upload_size": "lots"}, validate="never")["msg"]
    assert re.search(r"max_upload_size in .*/50-own\.yaml", message)
    # This collection knows nothing about modules.
    parameters = _validated(place, settings={"modules": [{"module": "no_such_module.Thing"}]}, validate="never")
    assert play(place, "synapse_config", parameters, token=False)["changed"]


def test_a_removal_that_synapse_refuses(place: Place) -> None:
    write(Path(place.server.config_path[0]), "report_stats: false\n")
    named = {"server_name": "unstarted.test"}
    done = play(place, "synapse_config", _validated(place, settings=named), token=False)
    assert done["changed"], done
    assert re.search(
        r"/50-own\.yaml was not removed, and nothing has changed\. .*server_name",
        _refused(place, state="absent")["msg"],
    )


def test_a_configuration_that_was_refused_before(place: Place) -> None:
    write_beside(place, {"00-wrong.yaml": "caches: {global_factor: hardly}\n"})
    message = _refused(place, settings={"presence": {"enabled": False}})["msg"]
    assert re.search(rf"^Synapse cannot start .*{_WRONG_WORDS} .* This is not due to the change", message)


def test_a_block_with_which_synapse_ends_although_its_parser_accepts_it(place: Place) -> None:
    write_beside(place, {"90-pool.yaml": "database: {args: {database: ':memory:', cp_max: 30}}\n"})
    said = r"database in .*/90-pool\.yaml has no name, without which Synapse does not start"
    validation = _ask(place)["validation"]
    assert (validation["accepted"], validation["cause"]) == (False, "configuration")
    assert re.search(said, validation["complaint"])
    for check in (True, False):
        parameters = _validated(place, settings={"presence": {"enabled": False}})
        message = play(place, "synapse_config", parameters, token=False, check=check)["msg"]
        assert re.search(rf"^{said}.* replaces the whole database block of .* This is not due to the change", message)


def test_a_python_without_synapse(place: Place) -> None:
    done = _refused(place, settings={"presence": {"enabled": False}}, synapse_python="/usr/bin/python3")
    assert "Synapse's own program failed before it read the configuration" in done["msg"]
    assert done["validation"]["cause"] == "installation"


def test_a_working_directory_that_does_not_exist(place: Place) -> None:
    done = _refused(place, settings={"a": 1}, working_directory=f"{place.directory}/missing")
    assert "/missing is not a directory on this host" in done["msg"]


def test_information_about_an_accepted_configuration(place: Place) -> None:
    done = _ask(place)
    assert done["validation"] == {"accepted": True, "cause": "", "complaint": ""}
    assert done["config"]["settings"]["server_name"] == place.server.name


def test_information_about_a_refused_configuration(place: Place) -> None:
    write_beside(place, {"90-wrong.yaml": "caches: {global_factor: hardly}\n"})
    done = _ask(place)
    assert done["validation"]["cause"] == "configuration"
    assert re.search(_WRONG_WORDS, done["validation"]["complaint"])
    assert done["config"]["settings"]["caches"] == {"global_factor": "hardly"}


def test_information_about_a_file_that_cannot_be_read(place: Place) -> None:
    write_beside(place, {"90-broken.yaml": "password: hush\ncaches: {global_factor: [\n"})
    done = _ask(place)
    assert "config" not in done
    assert done["validation"]["accepted"] is False
    assert re.search(r"/90-broken\.yaml is not valid YAML, line 3", done["validation"]["complaint"])


def test_information_about_a_broken_installation(place: Place) -> None:
    done = _ask(place, synapse_python="/nonexistent/python")
    assert done["validation"] == {
        "accepted": False,
        "cause": "installation",
        "complaint": "/nonexistent/python cannot be run: No such file or directory.",
    }
    assert done["config"]["files"]


def test_information_from_an_installation_without_pyyaml(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # The module runs with the Python of Synapse, from which a package is missing.
    monkeypatch.setitem(sys.modules, "yaml", None)
    broken = place.directory / "python"
    broken.write_text('#!/bin/sh\necho "$0: No module named synapse" >&2\nexit 1\n')
    broken.chmod(0o755)
    done = _ask(place, synapse_python=str(broken))
    assert done["validation"]["cause"] == "installation"
    # Otherwise the missing package is what the user needs to know.
    with pytest.raises(AssertionError, match="PyYAML"):
        _ask(place)
