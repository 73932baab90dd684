# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import socket
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.listener import Owner, owner_of

PORT = 9000
V4, ANY4 = "0100007F:2328", "00000000:2328"
V6, ANY6 = "00000000000000000000000001000000:2328", "00000000000000000000000000000000:2328"
MAPPED = "0000000000000000FFFF00000100007F:2328"
LOCAL = "000080FE000000000000000001000000:2328"
HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


class Kernel:
    """A /proc with processes and sockets that a test creates."""

    def __init__(self, proc: pathlib.Path) -> None:
        self.proc = proc
        self.net = proc / "self" / "net"
        self.net.mkdir(parents=True)
        for family in ("tcp", "tcp6"):
            (self.net / family).write_text(HEADING)

    def socket(self, family: str, address: str, inode: int, state: str = "0A", uid: int = 5) -> None:
        with (self.net / family).open("a") as file:
            file.write(
                f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  {uid}  0 {inode} 1\n"
            )

    def process(self, pid: int, *inodes: int, name: str = "python", uid: int = 5) -> None:
        fd = self.proc / str(pid) / "fd"
        fd.mkdir(parents=True)
        for number, inode in enumerate(inodes):
            (fd / str(number)).symlink_to(f"socket:[{inode}]")
        (fd / "99").symlink_to("/dev/null")
        (self.proc / str(pid) / "comm").write_text(f"{name}\n")
        (self.proc / str(pid) / "status").write_text(f"Name:\t{name}\nUid:\t0\t{uid}\t0\t0\n")

    def hide(self, monkeypatch: pytest.MonkeyPatch, *pids: int) -> None:
        """Hide the files of processes from this user, as the kernel does for every user except root."""
        hidden = {str(self.proc / str(pid) / "fd") for pid in pids}
        listdir = os.listdir

        def listed(path: str) -> list[str]:
            if path in hidden:
                raise PermissionError
            return listdir(path)

        monkeypatch.setattr(os, "listdir", listed)

    def ask(self, host: str = "127.0.0.1", pid: int = 7) -> Owner:
        return owner_of(f"http://{host}:{PORT}/_synapse/metrics", pid, str(self.proc))


@pytest.fixture
def kernel(tmp_path: pathlib.Path) -> Kernel:
    return Kernel(tmp_path)


def own(*inodes: int) -> Owner:
    return Owner(True, frozenset(inodes))


@pytest.mark.skipif(sys.byteorder != "little", reason="the addresses above are those of such a machine")
@pytest.mark.parametrize(
    ("host", "family", "address"),
    [
        ("127.0.0.1", "tcp", V4),
        ("127.0.0.1", "tcp", ANY4),
        ("127.0.0.1", "tcp6", ANY6),
        ("127.0.0.1", "tcp6", MAPPED),
        ("[::1]", "tcp6", V6),
        ("[::1]", "tcp6", ANY6),
        ("[::ffff:127.0.0.1]", "tcp6", MAPPED),
        ("[::ffff:127.0.0.1]", "tcp", ANY4),
        ("[fe80::1%25lo]", "tcp6", LOCAL),
    ],
)
def test_every_way_to_listen(kernel: Kernel, host: str, family: str, address: str) -> None:
    kernel.socket(family, address, 100)
    kernel.process(7, 50, 100)
    assert kernel.ask(host) == own(100)


def test_others_that_listen_elsewhere_or_not_at_all(kernel: Kernel) -> None:
    kernel.socket("tcp", "0100007F:2329", 101)
    kernel.socket("tcp", "0200007F:2328", 102)
    kernel.socket("tcp", V4, 103, state="01")
    kernel.socket("tcp6", V6, 104)
    kernel.process(7, 101, 102, 103, 104)
    assert kernel.ask() == Owner(False, frozenset())
    assert kernel.ask("[::1]") == own(104)


def test_a_specific_address_has_priority(kernel: Kernel) -> None:
    kernel.socket("tcp6", ANY6, 103)
    kernel.socket("tcp", ANY4, 102)
    kernel.socket("tcp", V4, 101)
    kernel.process(7, 102)
    kernel.process(8, 101, name="node_exporter")
    assert kernel.ask() == Owner(False, frozenset({101}), "process 8 (node_exporter)")


def test_a_socket_that_several_processes_share(kernel: Kernel) -> None:
    kernel.socket("tcp", V4, 101)
    kernel.socket("tcp", V4, 102)
    kernel.process(7, 101)
    kernel.process(8, 102)
    assert kernel.ask() == Owner(None, frozenset({101, 102}), "process 8 (python)")
    assert kernel.ask(pid=8).is_own is None


def test_a_kernel_without_the_newer_protocol(kernel: Kernel) -> None:
    (kernel.net / "tcp6").unlink()
    kernel.socket("tcp", V4, 100)
    kernel.process(7, 100)
    assert kernel.ask() == own(100)


@pytest.mark.parametrize("holder", [7, 8], ids=["itself", "another process"])
def test_a_file_whose_name_is_too_long(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, holder: int) -> None:
    kernel.socket("tcp", V4, 100)
    kernel.process(7, 50, *([100] if holder == 7 else []))
    kernel.process(8, 51, *([100] if holder == 8 else []), name="nc")
    for pid in (7, 8):
        (kernel.proc / str(pid) / "fd/98").symlink_to("file")
    read = os.readlink

    def read_link(path: str) -> str:
        if path.endswith("fd/98"):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
        return read(path)

    monkeypatch.setattr(os, "readlink", read_link)
    assert kernel.ask() == (own(100) if holder == 7 else Owner(False, frozenset({100}), "process 8 (nc)"))


def test_another_process_that_has_ended_or_cannot_be_seen(kernel: Kernel) -> None:
    kernel.socket("tcp", V4, 100)
    kernel.process(7)
    (kernel.proc / "8").mkdir()
    assert kernel.ask() == Owner(False, frozenset({100}))


def test_a_process_that_has_ended(kernel: Kernel) -> None:
    kernel.socket("tcp", V4, 100)
    with pytest.raises(FileNotFoundError):
        kernel.ask()


def test_a_user_who_is_not_allowed_to_see_the_files_of_the_process(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.socket("tcp", V4, 100)
    kernel.process(7, 100)
    kernel.process(8)
    kernel.hide(monkeypatch, 7)
    assert kernel.ask() == Owner(None, frozenset({100}))


def test_such_a_user_sees_that_a_socket_belongs_to_another_user(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.socket("tcp", V4, 100, uid=6)
    kernel.process(7)
    kernel.process(8, 100)
    kernel.hide(monkeypatch, 7, 8)
    assert kernel.ask() == Owner(False, frozenset({100}))


def test_such_a_user_sees_that_a_socket_belongs_to_the_same_user(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.socket("tcp", V4, 100)
    kernel.process(7)
    kernel.process(8, 100, name="nc")
    kernel.hide(monkeypatch, 7)
    assert kernel.ask() == Owner(False, frozenset({100}), "process 8 (nc)")


@pytest.mark.parametrize(
    ("family", "bound", "host"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET, "127.0.0.1", "localhost"),
        (socket.AF_INET, "0.0.0.0", "127.0.0.1"),
        (socket.AF_INET6, "::1", "[::1]"),
        (socket.AF_INET6, "::", "[::1]"),
        (socket.AF_INET6, "::", "127.0.0.1"),
    ],
)
def test_the_sockets_of_this_machine(family: socket.AddressFamily, bound: str, host: str) -> None:
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket(family))
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind((bound, 0))
        listening.listen()
        url = f"http://{host}:{listening.getsockname()[1]}/"
        assert owner_of(url, os.getpid()) == own(os.fstat(listening.fileno()).st_ino)
        other = stack.enter_context(subprocess.Popen(["sleep", "60"]))
        stack.callback(other.kill)
        found = owner_of(url, other.pid)
        assert (found.is_own, f"process {os.getpid()} (" in found.other) == (False, True)
    assert owner_of(url, os.getpid()) == Owner(False, frozenset())


def test_a_host_name_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: t.Any, **__: t.Any) -> t.NoReturn:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert owner_of("http://metrics.invalid:9000/", os.getpid()) == Owner(False, frozenset())


@pytest.fixture
def unix(kernel: Kernel) -> t.Callable[..., Owner]:
    """Return a function that writes the sockets (inode, path, flags) of process 7 to /proc and asks for one path."""

    def ask(*sockets: tuple[int, str, str], path: str = "%2Frun%2Fs%20s", pid: int = 7) -> Owner:
        lines = [
            f"00000000efc53012: 00000002 00000000 {flags} 0001 01 {inode} {name}" for inode, name, flags in sockets
        ]
        net = kernel.proc / str(pid) / "net"
        net.mkdir()
        (net / "unix").write_text("\n".join(["Num Path", "broken", *lines, ""]))
        return owner_of(f"http+unix://{path}/_synapse/metrics", pid, str(kernel.proc))

    return ask


LISTENS, CONNECTED = "00010000", "00000000"


def test_the_unix_socket_of_the_process(kernel: Kernel, unix: t.Callable[..., Owner]) -> None:
    kernel.process(7, 100, 102)
    kernel.process(8, 101)
    sockets = [(101, "/run/other", LISTENS), (102, "/run/s s", CONNECTED), (100, "/run/s s", LISTENS)]
    assert unix(*sockets) == own(100)


def test_the_unix_socket_of_another_process(kernel: Kernel, unix: t.Callable[..., Owner]) -> None:
    kernel.process(7)
    kernel.process(8, 101, name="nc")
    assert unix((101, "/run/s s", LISTENS)) == Owner(False, frozenset({101}), "process 8 (nc)")


def test_a_unix_socket_that_was_replaced(kernel: Kernel, unix: t.Callable[..., Owner]) -> None:
    kernel.process(7, 100)
    kernel.process(8, 101, name="nc")
    found = unix((100, "/run/s s", LISTENS), (101, "/run/s s", LISTENS))
    assert found == Owner(None, frozenset({100, 101}), "process 8 (nc)")


def test_a_unix_socket_that_is_not_open(kernel: Kernel, unix: t.Callable[..., Owner]) -> None:
    kernel.process(7)
    assert unix() == Owner(False, frozenset())


def test_a_unix_socket_with_a_relative_path(kernel: Kernel, unix: t.Callable[..., Owner]) -> None:
    kernel.process(7, 100)
    kernel.process(8, 101)
    (kernel.proc / "7" / "cwd").symlink_to("/run")
    assert unix((100, "s s", LISTENS), (101, "s s", LISTENS)) == own(100)


def test_a_unix_socket_of_a_process_whose_files_are_hidden(
    kernel: Kernel, unix: t.Callable[..., Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.process(7, 100)
    kernel.hide(monkeypatch, 7)
    assert unix((100, "/run/s s", LISTENS)) == Owner(None, frozenset({100}))


def test_a_unix_socket_of_this_machine(short_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(short_path)
    for name in (f"{short_path}/absolute", "relative"):
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(name)
            url = f"http+unix://{str(short_path / name).replace('/', '%2F')}/"
            assert owner_of(url, os.getpid()) == Owner(False, frozenset())
            listening.listen()
            assert owner_of(url, os.getpid()) == own(os.fstat(listening.fileno()).st_ino)
