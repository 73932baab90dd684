# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.container import (
    container_of,
    has_other_namespace,
    named_container,
)

ID = "0123456789ab" + "c" * 52
OTHER_ID = "f" * 64
POD = "pod0f3d2c5b_1a2b_3c4d_5e6f_708192a3b4c5"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"/system.slice/docker-{ID}.scope", "docker 0123456789ab"),
        (f"/docker/{ID}", "docker 0123456789ab"),
        (f"/docker/{ID}/docker/{OTHER_ID}", "docker 0123456789ab"),
        (f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope", "docker 0123456789ab"),
        (f"/machine.slice/libpod-{ID}.scope/container", "podman 0123456789ab"),
        (f"/machine.slice/machine-libpod_pod_{OTHER_ID}.slice/libpod-{ID}.scope", "podman 0123456789ab"),
        (f"/libpod_parent/libpod-{ID}", "podman 0123456789ab"),
        (f"/system.slice/synapse.service/libpod-payload-{ID}", "podman 0123456789ab"),
        (f"/system.slice/nerdctl-{ID}.scope", "containerd 0123456789ab"),
        (f"/system.slice/cri-containerd-{ID}.scope", "containerd 0123456789ab"),
        (
            f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-{POD}.slice/cri-containerd-{ID}.scope",
            "kubernetes 0123456789ab",
        ),
        (f"/kubepods.slice/kubepods-{POD}.slice/crio-{ID}.scope", "kubernetes 0123456789ab"),
        (f"/kubepods/burstable/{POD}/{ID}", "kubernetes 0123456789ab"),
        (f"/kubepods/{POD}/{ID}", "kubernetes 0123456789ab"),
        ("/kubepods/burstable", "kubernetes"),
        (f"/crio-{ID}.scope", "cri-o 0123456789ab"),
        (f"/docker/{ID}/kubelet/kubepods/{POD}/{OTHER_ID}", "docker 0123456789ab"),
        ("/lxc.payload.chat-1/system.slice/matrix-synapse.service", "lxc chat-1"),
        (f"/lxc.payload.chat/system.slice/docker-{ID}.scope", "lxc chat"),
        ("/lxc.payload/chat/system.slice", "lxc chat"),
        ("/lxc/101/ns/system.slice", "lxc 101"),
        ("/machine.slice/systemd-nspawn@chat.service/payload/init.scope", "systemd-nspawn chat"),
        ("/machine.slice/machine-chat\\x2d1.scope/payload", "systemd-nspawn chat-1"),
        ("/system.slice/matrix-synapse.service", None),
        ("/system.slice/docker.service", None),
        ("/system.slice/docker-0123456789ab.scope", None),
        (f"/system.slice/other-{ID}.scope", None),
        (f"/system.slice/my-docker-{ID}.scope", None),
        ("/docker/synapse", None),
        ("/lxc", None),
        ("/lxc.monitor.chat", None),
        (f"/system.slice/libpod-conmon-{ID}.scope", None),
        ("/system.slice/systemd-nspawn@\x1b[0m.service", None),
        (f"/kubepodsx/{ID}", None),
        ("/", None),
        ("", None),
    ],
)
def test_names_of_control_groups(path: str, expected: str | None) -> None:
    assert named_container(f"0::{path}\n") == expected
    # The hierarchies of version 1, of which some may have no container.
    assert named_container(f"9:name=systemd:/user.slice\n8:pids:{path}\n0::/\n") == expected


@pytest.mark.parametrize("text", ["", "\n", "0", "0:", ":::::/docker", "/docker/\ufffd\n\x00", "0::" + "/" * 2**17])
def test_control_groups_in_another_format(text: str) -> None:
    assert named_container(text) is None


class Proc:
    """A directory like /proc, with one process."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.path = directory / "proc"
        self.root, self.other = directory / "root", directory / "other"
        for place in (self.root, self.other, self.path / "self" / "ns", self.path / "7" / "ns"):
            place.mkdir(parents=True)
        (self.path / "self" / "ns" / "pid").symlink_to("pid:[1]")
        self.group("0::/system.slice/matrix-synapse.service\n")

    def group(self, text: str) -> None:
        (self.path / "7" / "cgroup").write_text(text)

    def process(self, root: pathlib.Path, namespace: str) -> None:
        (self.path / "7" / "root").symlink_to(root)
        (self.path / "7" / "ns" / "pid").symlink_to(namespace)

    def read(self) -> str | None:
        return container_of(7, str(self.path), str(self.root))


@pytest.fixture
def proc(tmp_path: pathlib.Path) -> Proc:
    return Proc(tmp_path)


def test_a_process_of_this_host(proc: Proc) -> None:
    proc.process(proc.root, "pid:[1]")
    assert proc.read() is None


def test_a_hardened_unit_of_this_host(proc: Proc) -> None:
    # PrivatePIDs=yes
    proc.process(proc.root, "pid:[2]")
    assert proc.read() is None


def test_another_root_directory(proc: Proc) -> None:
    proc.process(proc.other, "pid:[1]")
    assert proc.read() == "another root directory"


def test_a_container_without_a_name(proc: Proc) -> None:
    proc.process(proc.other, "pid:[2]")
    assert proc.read() == "another PID namespace"


@pytest.mark.parametrize("namespace", ["pid:[1]", "pid:[2]"])
def test_a_container_with_a_name_also_in_the_namespace_of_the_host(proc: Proc, namespace: str) -> None:
    proc.process(proc.other, namespace)
    proc.group(f"0::/system.slice/docker-{ID}.scope\n")
    assert proc.read() == "docker 0123456789ab"


def refuse(monkeypatch: pytest.MonkeyPatch, function: str, end: str, error: OSError) -> None:
    original = getattr(os, function)

    def refused(path: str, *arguments: t.Any, **options: t.Any) -> t.Any:
        if str(path).endswith(end):
            raise error
        return original(path, *arguments, **options)

    monkeypatch.setattr(os, function, refused)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(107, "Not connected")])
@pytest.mark.parametrize(("namespace", "expected"), [("pid:[1]", None), ("pid:[2]", "another PID namespace")])
def test_a_root_directory_that_cannot_be_seen(
    proc: Proc, monkeypatch: pytest.MonkeyPatch, error: OSError, namespace: str, expected: str | None
) -> None:
    proc.process(proc.other, namespace)
    refuse(monkeypatch, "stat", "/7/root", error)
    assert proc.read() == expected


def test_a_process_of_which_nothing_can_be_seen(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    proc.process(proc.other, "pid:[2]")
    refuse(monkeypatch, "stat", "/7/root", PermissionError(13, "Permission denied"))
    refuse(monkeypatch, "readlink", "/7/ns/pid", PermissionError(13, "Permission denied"))
    assert proc.read() is None


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), ProcessLookupError(3, "No such process")])
def test_a_process_that_has_ended(proc: Proc, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    proc.process(proc.root, "pid:[1]")
    refuse(monkeypatch, "stat", "/7/root", error)
    with pytest.raises(type(error)):
        proc.read()


def test_the_test_itself_is_not_in_a_container() -> None:
    assert container_of(os.getpid()) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the root directory of a process")
def test_a_process_with_another_root_directory(tmp_path: pathlib.Path) -> None:
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", "import os,sys; os.chroot(sys.argv[1]); os.write(1, b'x'); sys.stdin.read()", tmp_path],
        stdin=subprocess.PIPE,
        stdout=writing,
    ) as process:
        assert os.read(reading, 1) == b"x"
        assert container_of(process.pid) == "another root directory"
    os.close(reading)
    os.close(writing)


def test_namespaces_of_each_kind(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for pid, network in (("self", "net:[1]"), ("7", "net:[1]"), ("8", "net:[2]")):
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "ns" / "net").symlink_to(network)
        (tmp_path / pid / "ns" / "pid").symlink_to("pid:[1]")
    assert [has_other_namespace(pid, "net", str(tmp_path)) for pid in (7, 8)] == [False, True]
    assert [has_other_namespace(pid, "pid", str(tmp_path)) for pid in (7, 8)] == [False, False]
    with pytest.raises(FileNotFoundError):
        has_other_namespace(9, "net", str(tmp_path))

    def forbidden(_path: str) -> t.NoReturn:
        raise PermissionError

    monkeypatch.setattr(os, "readlink", forbidden)
    assert not has_other_namespace(8, "net", str(tmp_path))
