# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.command_line import (
    CommandLine,
    parse_command_line,
)

MAIN, WORKER = "synapse.app.homeserver", "synapse.app.generic_worker"


def parsed(words: str, program: str | None = None) -> tuple[str, tuple[str, ...], bool] | None:
    found = parse_command_line(words.split(), lambda: program)
    return (found.app, found.config_path, found.daemonized) if found else None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (f"/opt/venv/bin/python -m {MAIN} -c a.yaml", (MAIN, ("a.yaml",), False)),
        (f"python3 -m {MAIN} --config-path=a -cb --config-path c/", (MAIN, ("a", "b", "c/"), False)),
        (f"python3.13 -B -m {MAIN} -c a -D", (MAIN, ("a",), True)),
        (f"python3.13t -m {MAIN} -c a", (MAIN, ("a",), False)),
        (f"python3.13-dbg -m {MAIN} -c a", (MAIN, ("a",), False)),
        (f"python -X dev -W error -Im {WORKER} -c a --daemonize", (WORKER, ("a",), True)),
        (f"python3 -Xdev -Wignore::x:X -m {WORKER} -c a", (WORKER, ("a",), False)),
        (f"python3 -OOm{WORKER} -c a", (WORKER, ("a",), False)),
        (f"python3 --check-hash-based-pycs always -m {WORKER} -c a", (WORKER, ("a",), False)),
        (f"pypy3 --jit off -m {MAIN}", (MAIN, (), False)),
        ("python -m synapse.app.media_repository -c a", ("synapse.app.media_repository", ("a",), False)),
        ("python -m synapse.app.federation_sender -c a", ("synapse.app.federation_sender", ("a",), False)),
    ],
)
def test_modules(words: str, expected: tuple[str, tuple[str, ...], bool]) -> None:
    assert parsed(words) == expected


@pytest.mark.parametrize(
    ("script", "app"),
    [
        ("/v/bin/synapse_homeserver", MAIN),
        ("-u /v/bin/synapse_worker", WORKER),
        ("-- synapse_worker", WORKER),
        ("/nix/store/0-synapse/bin/.synapse_homeserver-wrapped", MAIN),
        ("/nix/store/0-synapse/bin/.synapse_worker-wrapped_", WORKER),
        ("/nix/store/0-synapse/bin/..synapse_worker-wrapped-wrapped", WORKER),
        ("/v/lib/python3.13/site-packages/synapse/app/homeserver.py", MAIN),
        ("-E synapse/app/generic_worker.py", WORKER),
        ("/src/synapse/app/media_repository.py", "synapse.app.media_repository"),
    ],
)
def test_scripts(script: str, app: str) -> None:
    assert parsed(f"/v/bin/python {script} -c a") == (app, ("a",), False)


# What argparse does with the options of Synapse 1.163: --config-directory is an option of the main process only.
@pytest.mark.parametrize(
    ("app", "options", "paths"),
    [
        *((MAIN, f"{name} a {name}=b", ("a", "b")) for name in ("--config-p", "--config-pa", "--config-pat")),
        *((MAIN, f"-c a {name} b", None) for name in ("--c", "--co", "--conf", "--config", "--config-")),
        (MAIN, "-c a --config-d b", ("a",)),
        *((WORKER, f"{name} a {name}=b", ("a", "b")) for name in ("--c", "--co", "--conf", "--config-", "--config-p")),
        ("synapse.app.pusher", "--con a", ("a",)),
        (WORKER, "-c a --config-d=b", ("a",)),
        (WORKER, "-c a --config-paths b", ("a",)),
        (MAIN, "-c=a", ("a",)),
        (MAIN, "-c a b", ("a",)),
        (MAIN, "-nDca", ("a",)),
        (MAIN, "-nc a", ("a",)),
        (MAIN, "-c", None),
        (MAIN, "-c -D", None),
        (MAIN, "-c a --config-path=", ("a",)),
        (MAIN, "-d -c a", None),
        (MAIN, "-d db -f log -H name --manhole 1 --report-stats yes -c a", ("a",)),
        (MAIN, "-dc a", ()),
        (MAIN, "-f--config-path=b -c a", ("a",)),
        (MAIN, "--keys c --data- d --open --enable-m -c a", ("a",)),
        (WORKER, "--keys c --no-s --no-r --enable --print -c a", ("a",)),
        (WORKER, "-c a --of-a-later-version -c b", ("a", "b")),
        (MAIN, "", ()),
    ],
)
def test_paths(app: str, options: str, paths: tuple[str, ...] | None) -> None:
    found = parsed(f"python -m {app} {options}")
    assert (found and found[1]) == paths


@pytest.mark.parametrize(
    ("app", "option", "daemonized"),
    [(MAIN, "--dae", True), (MAIN, "-nD", True), (WORKER, "--daemon", True), (MAIN, "--data-=D", False)],
)
def test_daemons(app: str, option: str, daemonized: bool) -> None:
    assert parsed(f"python -m {app} -c a {option}") == (app, ("a",), daemonized)


@pytest.mark.parametrize(
    ("app", "option", "serves"),
    [
        *((MAIN, f"--generate-{name}", False) for name in ("c", "config", "k", "keys", "missing-c", "missing-configs")),
        (MAIN, "--generate-mode 1", False),
        (MAIN, "--generate-missing-and-run", True),
        (MAIN, "--generate-missing-a", True),
        # These fit several options, so Synapse prints an error and exits.
        *((MAIN, name, False) for name in ("--g", "--generate-", "--generate-m", "--generate-missing", "--da", "--d")),
        *((app, name, False) for app in (MAIN, WORKER) for name in ("-h", "--he", "--help", "-nh")),
    ],
)
def test_commands_that_exit(app: str, option: str, serves: bool) -> None:
    assert (parsed(f"python -m {app} -c a {option}") is not None) is serves
    assert (parsed(f"python -m {app} {option} -c a") is not None) is serves


@pytest.mark.parametrize(
    "words",
    [
        "python -m synapse.app.admin_cmd -c a export-data @x:y",
        "python -m synapse.app.complement_fork_starter a -- synapse.app.homeserver -c a",
        "python -m synapse.app._base -c a",
        "python -m synapse.app -c a",
        "python -m synapse.app.homeserver.extra -c a",
        "python -m synapse.apps.homeserver -c a",
        "python /v/bin/my_synapse_worker -c a",
        "python /v/bin/synapse_worker.sh -c a",
        "python /v/bin/synapse_port_db -c a",
        "python /v/bin/.synapse_port_db-wrapped -c a",
        "python /x/synapse/app/homeserver.py.bak -c a",
        "python /x/synapse/app/admin_cmd.py -c a",
        "python /x/notsynapse/app/homeserver.py -c a",
        f"python -c import_x -m {MAIN} -c a",
        f"python -cimport_x -m {MAIN} -c a",
        f"python -Ic import_x -m {MAIN} -c a",
        f"python -cpass -m {MAIN} -c a",
        f"python -c {MAIN} -c a",
        f"python -- -m {MAIN} -c a",
        f"python - -m {MAIN} -c a",
        f"python -W -m {MAIN} -c a",
        f"sudo -u matrix-synapse python -m {MAIN} -c a",
        f"bash -c python -m {MAIN} -c a",
        "sh /v/bin/synapse_homeserver -c a",
        f"grep python -m {MAIN} -c a",
        f"grep -m {MAIN} -c a",
        f"tail -f -m {MAIN} -c a",
        "vim /v/synapse/app/homeserver.py -c a",
        f"watch-python -m {MAIN} -c a",
        f"python script.py -m {MAIN} -c a",
        f"python /root/.ansible/tmp/AnsiballZ_synapse_runtime_info.py -m {MAIN} -c a",
        f"/usr/bin/python3 /usr/bin/ansible -m synapse_runtime_info -a config_path=a {MAIN} -c a",
        f"/lib64/ld-linux-x86-64.so.2 /bin/sh -m {MAIN} -c a",
        "/lib64/ld-linux-x86-64.so.2",
        "/lib64/ld-linux-x86-64.so.2 --library-path",
        "python -m http.server",
        "python -m",
        "python -X",
        "python",
        "",
    ],
)
def test_other_programs(words: str) -> None:
    assert parsed(words) is None
    assert parsed(words, "/usr/bin/dash") is None


@pytest.mark.parametrize(
    ("loader", "options"),
    [
        ("/lib64/ld-linux-x86-64.so.2", ""),
        ("/lib/ld-linux-aarch64.so.1", "--library-path /a:/b --inhibit-cache --argv0 name"),
        ("/lib64/ld-2.31.so", "--preload /usr/lib/libjemalloc.so.2"),
        ("/lib/ld-musl-x86_64.so.1", "--library-path=/a --"),
        ("/libexec/ld.so", ""),
    ],
)
def test_the_dynamic_loader_as_the_program(loader: str, options: str) -> None:
    command = f"{loader} {options} /v/bin/python3 -m {MAIN} -c a".split()
    assert parse_command_line(command) == CommandLine(MAIN, ("a",), False, "/v/bin/python3")


def test_a_process_with_a_name_of_its_own() -> None:
    command = ["synapse: main", "-m", MAIN, "-c", "a"]
    expected = CommandLine(MAIN, ("a",), False, "/usr/bin/python3.13")
    assert parse_command_line(command, lambda: "/usr/bin/python3.13") == expected
    assert parse_command_line(["", *command[1:]], lambda: "/usr/bin/python3.13") == expected
    assert parse_command_line(command, lambda: "/usr/bin/vim") is None
    assert parse_command_line(command) is None


def test_the_program_is_asked_for_only_if_the_answer_depends_on_it() -> None:
    def refused() -> t.NoReturn:
        raise PermissionError(13, "Permission denied")

    assert parse_command_line(["vim", "a"], refused) is None
    assert parse_command_line(["x", "-m", MAIN, "--help"], refused) is None
    assert parse_command_line(["python", "-m", MAIN], refused) == CommandLine(MAIN, ())
    with pytest.raises(PermissionError):
        parse_command_line(["x", "-m", MAIN], refused)


def test_words_that_are_no_text_for_a_person() -> None:
    path = "/a b\n\ufffd%s\x1b[0m"
    assert parse_command_line(["python", "-m", MAIN, "-c", path]) == CommandLine(MAIN, (path,))
    assert parse_command_line(["python", "-m", MAIN, f"--config-p={path}"]) == CommandLine(MAIN, (path,))


@pytest.mark.parametrize("word", ["-D", "-c", "--config-path=a", "a", "-", "--", "-X"])
def test_a_huge_command_line_takes_no_time(word: str) -> None:
    begun = time.monotonic()
    assert parse_command_line(["python", "-m", MAIN, *[word] * 500_000]) is None
    assert parse_command_line(["ld.so", *["--preload"] * 500_000]) is None
    parse_command_line(["python", "-m", MAIN, *[word] * 1900])
    assert time.monotonic() - begun < 5
