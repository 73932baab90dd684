# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_runtime_check proves of a server that runs with its present files, and what it refuses."""

from __future__ import annotations

import functools
import os
import pwd
import re
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.tests.contract import runtime_cases as runtime
from ansible_collections.matrix_ops.synapse.tests.contract.case import Place
from ansible_collections.matrix_ops.synapse.tests.contract.expectation import (
    Expectation,
    Refusal,
    named,
    prove,
    prove_refusal,
)

_MODULE = "synapse_runtime_check"
_MOST = 1073741816


def _use(place: Place) -> None:
    runtime.use(place.server, place.unique)


def _check(**declared: t.Any) -> t.Callable[[Place], dict[str, t.Any]]:
    return lambda place: runtime.parameters(place, **declared)


def _version(place: Place) -> str:
    return str(place.server.get("/_synapse/admin/v1/server_version")["server_version"]).split(" ", 1)[0]


def _everything(place: Place) -> dict[str, t.Any]:
    return runtime.parameters(
        place,
        open_files=64,
        cache_factor=0.5,
        caches=True,
        require_cache_proof=True,
        answers=True,
        server_name=place.server.name,
        version=_version(place),
        user=pwd.getpwuid(os.geteuid()).pw_name,
        writable_paths=[str(place.server.directory), str(place.directory)],
        wait_timeout=10,
    )


def _all_proofs(place: Place, proofs: dict[str, str]) -> bool:
    assert proofs.keys() == {"server", "open_files", "caches"}
    assert proofs["server"] == (
        f"Server: Synapse {_version(place)} answers as {place.server.name} at {place.server.base_url}."
    )
    assert re.fullmatch(r"Open files: main can open .+ files[.] At least 64 are required[.]", proofs["open_files"])
    assert re.fullmatch(
        r"Caches: [0-9]+ caches of the running server have the size that global_factor 0[.]5 sets[.]", proofs["caches"]
    )
    return True


def _of_the_main_process(place: Place, processes: list[dict[str, t.Any]]) -> bool:
    [main] = processes
    assert main["pid"] == runtime.pid(place.server)
    return True


# Between two runs a server opens files and fills its caches.
_proves = functools.partial(
    Expectation,
    module=_MODULE,
    prepare=_use,
    state=runtime.shown,
    changes=False,
    token=False,
    unpredictable=("processes", "proofs.caches"),
)

EXPECTATIONS = (
    _proves(
        "everything that is declared",
        parameters=_everything,
        returns=lambda place: {
            "unknown": [],
            "caches_proven": True,
            "proofs": functools.partial(_all_proofs, place),
            "server": {
                "name": place.server.name,
                "version": place.server.get("/_synapse/admin/v1/server_version")["server_version"],
            },
            "processes": functools.partial(_of_the_main_process, place),
        },
    ),
    _proves(
        "that processes run with their present files, and nothing else",
        parameters=_check(synapse_python="/nonexistent/python", base_url="http://127.0.0.1:1"),
        returns=lambda place: {
            "proofs": {},
            "caches_proven": False,
            "processes": functools.partial(_of_the_main_process, place),
        },
    ),
    _proves(
        "the sizes of caches that are only reported",
        parameters=_check(report_caches=True, fresh=False),
        returns=lambda place: {
            "caches_proven": True,
            "proofs": lambda proofs: proofs["caches"].startswith("Caches: not managed (cache_factor is not set). "),
        },
    ),
    _proves(
        "that sizes of caches cannot be read",
        parameters=_check(caches=True, synapse_python="/nonexistent/python"),
        returns=lambda place: {
            "caches_proven": False,
            "proofs": lambda proofs: "NOT proven. global_factor 0.5 is configured, but" in proofs["caches"],
        },
    ),
    _proves(
        "the server, although there is no token",
        parameters=lambda place: runtime.parameters(
            place, server_name=place.server.name, access_token_path="/nonexistent/token"
        ),
        returns=lambda place: {"proofs": lambda proofs: proofs.keys() == {"server"}},
    ),
)

_refused = functools.partial(Refusal, module=_MODULE, prepare=_use, state=runtime.shown, token=False)


def _refused_process(reason: str) -> t.Callable[[Place], str]:
    return lambda place: rf"^main \(process {runtime.pid(place.server)}\) {reason}"


REFUSALS = (
    _refused(
        "more files than the process can open",
        parameters=_check(open_files=_MOST, option_names={"open_files": "my_limit"}),
        message=_refused_process(rf"can open [0-9]+ files, but my_limit is {_MOST}[.] "),
    ),
    _refused(
        "a library that the process has not loaded",
        parameters=_check(jemalloc_library="/nonexistent/libjemalloc.so.2"),
        message=_refused_process("runs with.* instead of /nonexistent/libjemalloc.so.2[.] "),
    ),
    _refused(
        "another factor of the caches",
        parameters=_check(cache_factor=3.5),
        message="^The setting caches.global_factor in force is 0.5, but cache_factor is 3.5[.]",
    ),
    _refused(
        "sizes of caches without a proof",
        parameters=_check(require_cache_proof=True, synapse_python="/nonexistent/python"),
        message=r"NOT proven[.].*/nonexistent/python.*\(require_cache_proof is true\)$",
    ),
    _refused(
        "another version",
        parameters=_check(version="0.1"),
        message="^The server at .* with Synapse 1[.].*, but declared are any name and 0.1[.]",
    ),
    _refused(
        "another server name",
        parameters=_check(server_name="other.example.org"),
        message="but declared are other.example.org and any version[.]",
    ),
    _refused(
        "a server that does not answer",
        parameters=_check(answers=True, base_url="http://127.0.0.1:1"),
        message=r"^Synapse does not answer at http://127.0.0.1:1/health \(Connection refused\)[.] See ",
    ),
    _refused(
        "another user",
        parameters=_check(user="no-such-user"),
        message=_refused_process("runs as .*, not as no-such-user[.] Restart "),
    ),
    _refused(
        "directories that do not exist",
        parameters=_check(writable_paths=["/nonexistent/one", "/nonexistent/two"]),
        message=r"^Synapse cannot write.* to /nonexistent/one \(No such.*\), /nonexistent/two \(No such",
    ),
    _refused(
        "another Synapse, which does not run",
        parameters=lambda place: runtime.parameters(place, config_path=[str(place.directory / "other.yaml")]),
        message="^No Synapse process runs on this host with the configuration .*/other.yaml[.] Start Synapse[.]",
    ),
    _refused("no configuration", parameters=_check(config_path=[]), message="config_path is empty"),
    _refused("no file", parameters=_check(open_files=0), message="^open_files is 0"),
    _refused("no time for systemd", parameters=_check(metrics_timeout=0), message="^metrics_timeout is 0"),
    _refused("a wait that has ended", parameters=_check(wait_timeout=-1), message="^wait_timeout is -1"),
)


@pytest.mark.parametrize("case", named(EXPECTATIONS))
def test_proven(place: Place, case: Expectation) -> None:
    found = prove(place, case)
    assert not {"failures", "restart_record"} & found.keys()


@pytest.mark.parametrize("case", named(REFUSALS))
def test_refused(place: Place, case: Refusal) -> None:
    prove_refusal(place, case)
