# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A library is preloaded only if Synapse's Python shows it as jemalloc, and what others preload stays."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import pytest

_SCRIPT = pathlib.Path(__file__).parents[4] / "roles" / "synapse_jemalloc" / "files" / "find_jemalloc.py"


def _c_library() -> str:
    """Return the path of the C library that this process has loaded, which certainly is no jemalloc."""
    ctypes.CDLL("libc.so.6")
    maps = pathlib.Path("/proc/self/maps").read_text(encoding="utf-8").split()
    return next(path for path in maps if path.startswith("/") and "/libc" in path and ".so" in path)


def _executable(path: pathlib.Path, lines: str) -> str:
    path.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


class Host:
    """What ldconfig lists; `answer` is what the script prints."""

    def __init__(self, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        specification = importlib.util.spec_from_file_location("find_jemalloc", _SCRIPT)
        assert specification and specification.loader
        self.script = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(self.script)
        self.path = path
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.ldconfig()

    def ldconfig(self, *lines: str, end: str = "") -> None:
        """Let ldconfig list these lines and then do something else."""
        (self.path / "list").write_text("\n".join([f"{len(lines)} libs found", *lines, ""]), encoding="utf-8")
        command = f'[ "$*" = -p ] && cat "{self.path}/list"\n{end}'
        self._monkeypatch.setattr(self.script, "LDCONFIG", _executable(self.path / "ldconfig", command))

    def limit(self, seconds: float) -> None:
        self._monkeypatch.setattr(self.script, "TIME_LIMIT", seconds)

    def answer(self, *values: str, library: str = "", python: str = sys.executable) -> dict[str, t.Any]:
        question = {"library": library, "python": python, "values": list(values)}
        self._monkeypatch.setattr(sys, "argv", ["-", json.dumps(question)])
        self.script.main()
        return t.cast("dict[str, t.Any]", json.loads(self._capsys.readouterr().out))


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of a library with the symbol of jemalloc that the script looks for."""
    path = tmp_path_factory.mktemp("built") / "libjemalloc.so.test"
    source = path.with_name("source.c")
    source.write_text("int mallctl(void) { return 0; }\n", encoding="utf-8")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(path), str(source)], check=True)
    return str(path)


def test_a_declared_library_that_works(host: Host, built: str) -> None:
    host.ldconfig(end="exit 1")
    assert host.answer(library=built) == {
        "library": built,
        "file": built,
        "complaints": [],
        "has_python": True,
        "declared_exists": True,
        "preload": [built],
        "gone": [],
    }


@pytest.mark.parametrize("name", [b"lib", "b\u00fccher".encode(), b"odd\xff"])
def test_a_link_is_preloaded_as_declared_and_shown_as_its_file(host: Host, built: str, name: bytes) -> None:
    directory = host.path / os.fsdecode(name)
    directory.mkdir()
    target = directory / "libjemalloc.so.2.3"
    shutil.copy(built, target)
    link = host.path / "libjemalloc.so.2"
    link.symlink_to(target)
    answer = host.answer(library=str(link))
    assert (answer["library"], answer["complaints"], answer["declared_exists"]) == (str(link), [], True)
    assert answer["file"] == os.fsencode(target).decode(errors="replace")


def test_the_first_listed_library_that_works(host: Host, built: str) -> None:
    """No library after it is tried, and none twice."""
    wrong = shutil.copy(_c_library(), host.path / "libjemalloc.so.1")
    host.ldconfig(
        f"\tlibc.so.6 (libc6,x86-64) => {_c_library()}",
        f"\tlibjemalloc.so.1 (libc6) => {wrong}",
        f"\tlibjemalloc.so.1 (libc6) => {wrong}",
        f"\tlibjemalloc.so.2 (libc6,x86-64) => {built}",
        "\tlibjemalloc.so.3 (libc6,x86-64) => /nowhere/libjemalloc.so.3",
    )
    answer = host.answer()
    assert (answer["library"], answer["file"], answer["preload"]) == (built, built, [built])
    assert answer["complaints"] == [f"{wrong} does not work: it has no symbol mallctl."]
    assert answer["declared_exists"] is False


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("missing", "{} does not exist."),
        ("directory", "{} is not a file."),
        ("broken link", "{} is not a file."),
        # A loader that opens it waits until somebody writes to it.
        ("pipe", "{} is not a file."),
        ("empty", "ld.so: object '{}' from LD_PRELOAD cannot be preloaded"),
        ("text", "ld.so: object '{}' from LD_PRELOAD cannot be preloaded"),
        ("odd bytes", "ld.so: object '{}' from LD_PRELOAD cannot be preloaded"),
        ("library", "{} does not work: it has no symbol mallctl."),
    ],
)
def test_what_is_no_library_is_a_complaint(host: Host, kind: str, complaint: str) -> None:
    path = host.path / "libjemalloc.so.2"
    if kind == "directory":
        path.mkdir()
    elif kind == "broken link":
        path.symlink_to("nothing")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "library":
        shutil.copy(_c_library(), path)
    elif kind != "missing":
        path.write_bytes({"empty": b"", "text": b"[Service]\n", "odd bytes": bytes(range(256))}[kind])
    answer = host.answer(library=str(path))
    assert (answer["library"], answer["file"], len(answer["complaints"])) == (None, None, 1)
    assert answer["complaints"][0].startswith(complaint.format(path))
    assert "\n" not in answer["complaints"][0]
    assert answer["declared_exists"] is (kind in ("empty", "text", "odd bytes", "library"))


def test_a_library_whose_file_has_another_name(host: Host, built: str) -> None:
    """The process shows the name of the file, by which nobody would recognize jemalloc."""
    target = shutil.copy(built, host.path / "allocator.so")
    link = host.path / "libjemalloc.so"
    link.symlink_to(target)
    shown = "the process shows no file whose name begins with libjemalloc"
    assert host.answer(library=str(link))["complaints"] == [f"{link} does not work: {shown}."]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("kill -SEGV $$", "/python was ended by signal 11."),
        ("exit 3", "/python ended with status 3."),
        ("echo first >&2; echo 'Something is wrong.' >&2; exit 1", "does not work: Something is wrong."),
        (r"printf 'odd \377\n' >&2; exit 1", "does not work: odd \N{REPLACEMENT CHARACTER}."),
        ("exit 0", "/python has not said which file it has loaded."),
        ("echo Hello", "/python has not said which file it has loaded."),
        ("exec sleep 60", "/python has not ended after 0.5 seconds."),
    ],
)
def test_a_python_that_does_not_work(host: Host, built: str, lines: str, complaint: str) -> None:
    host.limit(0.5)
    answer = host.answer(library=built, python=_executable(host.path / "python", lines))
    assert (answer["library"], answer["has_python"], len(answer["complaints"])) == (None, True, 1)
    assert answer["complaints"][0].startswith(f"{built} does not work: ")
    assert answer["complaints"][0].endswith(complaint)


def test_a_python_that_cannot_be_run(host: Host, built: str) -> None:
    python = host.path / "python"
    python.touch(0o644)
    assert host.answer(library=built, python=str(python))["complaints"] == [
        f"{built} does not work: {python} cannot be run: Permission denied."
    ]


def test_a_python_that_greets(host: Host, built: str) -> None:
    python = _executable(host.path / "python", f'echo Hello\n"{sys.executable}" "$@"; exit $?')
    assert host.answer(library=built, python=python)["file"] == built


def test_the_environment_of_python_is_minimal(host: Host, built: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what is set here nor what is in this directory counts."""
    (host.path / "ctypes.py").write_text("raise SystemExit('This is another module.')", encoding="utf-8")
    monkeypatch.chdir(host.path)
    monkeypatch.setenv("PYTHONPATH", str(host.path))
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    assert host.answer(library=built)["library"] == built
    python = _executable(
        host.path / "python", "env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= | sort | tr '\\n' ' ' >&2; exit 1"
    )
    complaint = host.answer(library=built, python=python)["complaints"][0]
    assert complaint.endswith(f": LC_ALL=C LD_PRELOAD={built} PATH=/usr/sbin:/usr/bin:/sbin:/bin.")


def test_nothing_is_tried_without_python(host: Host, built: str) -> None:
    """As in check mode, where the library may be missing, too."""
    python = str(host.path / "nothing")
    answer = host.answer(python=python)
    assert (answer["library"], answer["has_python"], answer["complaints"]) == (None, False, [])
    assert answer["preload"] == ["libjemalloc.so.2"]
    assert host.answer(library=built, python=python)["preload"] == [built]


def test_no_library_is_listed(host: Host) -> None:
    host.ldconfig(f"\tlibc.so.6 (libc6,x86-64) => {_c_library()}")
    answer = host.answer()
    assert (answer["library"], answer["complaints"], answer["preload"]) == (None, [], ["libjemalloc.so.2"])


def test_ldconfig_fails(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.ldconfig(end="echo 'Cannot open the cache.' >&2; exit 1")
    name = f"{host.path}/ldconfig"
    assert host.answer()["complaints"] == [f"{name} -p lists no libraries: Cannot open the cache."]
    monkeypatch.setattr(host.script, "LDCONFIG", "/nowhere/ldconfig")
    reason = "/nowhere/ldconfig cannot be run: No such file or directory"
    assert host.answer()["complaints"] == [f"/nowhere/ldconfig -p lists no libraries: {reason}."]


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([], []),
        ([""], []),
        (["libone.so"], ["libone.so"]),
        # The last one counts, and may be empty.
        (["libone.so", "libtwo.so"], ["libtwo.so"]),
        (["libone.so", ""], []),
        (["libone.so:libtwo.so\tlibthree.so  libone.so"], ["libone.so", "libtwo.so", "libthree.so"]),
        (["\"libone.so\" 'libtwo.so':"], ["libone.so", "libtwo.so"]),
        # Whichever jemalloc it is.
        (["libjemalloc.so:libone.so:/nowhere/libjemalloc.so.2:{python}:libjemalloc"], ["libone.so", "{python}"]),
        (["/opt/libjemalloc/libc.so.6:mylibjemalloc.so"], ["mylibjemalloc.so"]),
        # Only the process can tell where these are.
        (["/usr/$LIB/libone.so:lib/libtwo.so"], ["/usr/$LIB/libone.so", "lib/libtwo.so"]),
        (["libö.so"], ["libö.so"]),
    ],
)
def test_other_libraries_are_kept(host: Host, values: list[str], kept: list[str]) -> None:
    answer = host.answer(*(value.format(python=sys.executable) for value in values))
    assert answer["preload"] == ["libjemalloc.so.2", *(path.format(python=sys.executable) for path in kept)]


def test_libraries_that_do_not_exist_are_gone(host: Host, built: str) -> None:
    link, broken = host.path / "libone.so", host.path / "libtwo.so"
    link.symlink_to(_c_library())
    broken.symlink_to("nothing")
    answer = host.answer("/before/it.so", f"/nowhere/it.so:{link} {broken} /nowhere/it.so a\0b", library=built)
    assert (answer["preload"], answer["gone"]) == ([built, str(link), "a\0b"], ["/nowhere/it.so", str(broken)])


@pytest.mark.parametrize(
    "question",
    ["", "{", "[]", "{}", '{"library": "", "python": 7.5, "values": []}', '{"library": "\nx", "python": ""}'],
)
def test_a_failure_is_one_sentence(question: str) -> None:
    """The role gives the script on standard input, so that a failure does not show all of it."""
    ended = subprocess.run(
        [sys.executable, "-", question], input=_SCRIPT.read_text(), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("Which library is to be preloaded cannot be found out: ")


def test_the_script_comes_on_standard_input(built: str) -> None:
    question = json.dumps({"library": built, "python": sys.executable, "values": ["libone.so"]})
    ended = subprocess.run(
        [sys.executable, "-", question], input=_SCRIPT.read_text(), capture_output=True, text=True, check=True
    )
    assert json.loads(ended.stdout)["preload"] == [built, "libone.so"]
