# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import struct
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime import sockets
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.sockets import (
    TcpSocket,
    UnixSocket,
    packed,
    read_tcp_sockets,
    read_unix_sockets,
    written,
)

LOOPBACK = bytes((127, 0, 0, 1))
HEADING = "Num       RefCount Protocol Flags    Type St Inode Path\n"


class Diagnostics:
    """A kernel that gives these answers, and the last one again and again."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)

    def __enter__(self) -> Diagnostics:
        return self

    def __exit__(self, *given: object) -> None:
        pass

    def settimeout(self, seconds: float) -> None:
        assert seconds <= 1

    def send(self, request: bytes) -> None:
        assert len(request) == 40

    def recv(self, size: int) -> bytes:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def message(kind: int, content: bytes) -> bytes:
    return padded(struct.pack("=LHHLL", 16 + len(content), kind, 2, 1, 0) + content)


def entry(state: int, number: int, attributes: bytes) -> bytes:
    return message(20, struct.pack("=BBBBL8s", 1, 1, state, 0, number, bytes(8)) + attributes)


def attribute(kind: int, content: bytes) -> bytes:
    return padded(struct.pack("=HH", 4 + len(content), kind) + content)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)


@pytest.fixture
def opened() -> t.Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def inode(one: socket.socket) -> int:
    return os.fstat(one.fileno()).st_ino


def connected(
    opened: contextlib.ExitStack, family: int, address: t.Any
) -> tuple[socket.socket, socket.socket, socket.socket]:
    """Return a socket that listens, one that has connected to it, and the accepted end."""
    listener = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
    listener.bind(address)
    listener.listen()
    client = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
    client.connect(listener.getsockname())
    accepted = opened.enter_context(listener.accept()[0])
    return listener, client, accepted


def test_tcp_as_the_kernel_shows_it(opened: contextlib.ExitStack) -> None:
    listener, client, accepted = connected(opened, socket.AF_INET, ("127.0.0.1", 0))
    wanted = [inode(one) for one in (listener, client, accepted)]
    server, own = listener.getsockname()[1], client.getsockname()[1]
    expected = {
        wanted[0]: TcpSocket(True, LOOPBACK, server, bytes(4), 0),
        wanted[1]: TcpSocket(False, LOOPBACK, own, LOOPBACK, server),
        wanted[2]: TcpSocket(False, LOOPBACK, server, LOOPBACK, own),
    }
    assert read_tcp_sockets(os.getpid(), wanted) == expected
    assert read_tcp_sockets(os.getpid(), wanted[1:2]) == {wanted[1]: expected[wanted[1]]}
    client.shutdown(socket.SHUT_WR)
    # The accepted end waits in CLOSE_WAIT, and its file is still open.
    assert read_tcp_sockets(os.getpid(), wanted) == expected


def test_ipv4_on_a_socket_of_ipv6_is_shown_as_ipv4(opened: contextlib.ExitStack) -> None:
    try:
        listener = opened.enter_context(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
    except (OSError, ValueError):
        pytest.skip("this host has no IPv6")
    client = opened.enter_context(socket.create_connection(("127.0.0.1", listener.getsockname()[1])))
    accepted = opened.enter_context(listener.accept()[0])
    found = read_tcp_sockets(os.getpid(), [inode(accepted), inode(listener)])
    assert found[inode(accepted)].remote == LOOPBACK == found[inode(accepted)].local
    assert found[inode(accepted)].remote_port == client.getsockname()[1]
    assert found[inode(listener)].local == bytes(16)


@pytest.mark.skipif(sys.byteorder != "little", reason="the addresses below are those of such a machine")
def test_tcp_without_ipv6_and_with_it(tmp_path: pathlib.Path) -> None:
    net = tmp_path / "7" / "net"
    net.mkdir(parents=True)
    line = "   0: {}:1F90 {}:D431 {} 00000000:00000000 00:00000000 00000000   106        0 {} 1 0000 20 4 30 10 -1\n"
    (net / "tcp").write_text("  sl  local\n" + line.format("0100007F", "0200007F", "08", 5))
    other = bytes((127, 0, 0, 2))
    found = TcpSocket(False, LOOPBACK, 8080, other, 0xD431)
    assert read_tcp_sockets(7, [5, 6], str(tmp_path)) == {5: found}
    address = "B80D0120000000000000000001000000"
    (net / "tcp6").write_text("  sl  local\n" + line.format(address, "0" * 32, "0A", 6))
    six = socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    assert read_tcp_sockets(7, [5, 6], str(tmp_path)) == {
        5: found,
        6: TcpSocket(True, six, 8080, bytes(16), 0xD431),
    }


def test_a_process_that_has_ended() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    # Its output closes when it ends. Until it is waited for, the kernel keeps its number.
    assert ended.stdout and not ended.stdout.read()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    try:
        with pytest.raises((FileNotFoundError, ProcessLookupError)):
            read_tcp_sockets(ended.pid, [1])
    finally:
        ended.wait()
        ended.stdout.close()
    with pytest.raises((FileNotFoundError, ProcessLookupError)):
        read_tcp_sockets(ended.pid, [1])
    with pytest.raises((FileNotFoundError, ProcessLookupError)):
        read_unix_sockets(ended.pid, [1])


def test_unix_sockets_with_their_other_ends(opened: contextlib.ExitStack, short_path: pathlib.Path) -> None:
    path = str(short_path / "a socket\nä")
    listener, client, accepted = connected(opened, socket.AF_UNIX, path)
    one, other = (opened.enter_context(end) for end in socket.socketpair())
    wanted = [inode(each) for each in (listener, client, accepted, one, other)]
    found = read_unix_sockets(os.getpid(), wanted)
    if found[wanted[1]].peer == "":
        pytest.skip("this kernel has no diagnostics of Unix sockets")
    assert found == {
        wanted[0]: UnixSocket(True, path, ""),
        wanted[1]: UnixSocket(False, "", path),
        wanted[2]: UnixSocket(False, path, ""),
        wanted[3]: UnixSocket(False, "", ""),
        wanted[4]: UnixSocket(False, "", ""),
    }


def test_names_in_the_abstract_namespace_and_datagrams(opened: contextlib.ExitStack) -> None:
    name = f"matrix_ops_synapse_{os.getpid()}"
    receiver = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    receiver.bind(f"\0{name}")
    sender = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    sender.connect(f"\0{name}")
    found = read_unix_sockets(os.getpid(), [inode(receiver), inode(sender)])
    assert found[inode(receiver)] == UnixSocket(False, f"@{name}", "")
    assert found[inode(sender)].peer in (f"@{name}", "")


def test_without_diagnostics(
    opened: contextlib.ExitStack, short_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(short_path / "a socket")
    listener, client, accepted = connected(opened, socket.AF_UNIX, path)
    wanted = [inode(each) for each in (listener, client, accepted)]
    monkeypatch.setattr(sockets, "ask_kernel", lambda inodes: None)
    assert read_unix_sockets(os.getpid(), wanted) == {
        wanted[0]: UnixSocket(True, path, ""),
        wanted[1]: UnixSocket(False, "", ""),
        wanted[2]: UnixSocket(False, path, ""),
    }


@pytest.mark.parametrize("error", [PermissionError(), TimeoutError()])
def test_a_kernel_that_refuses_or_is_slow(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: t.Any) -> t.NoReturn:
        raise error

    monkeypatch.setattr(socket, "socket", refuse)
    assert sockets.ask_kernel([1]) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"short",
        # An error, with the number -ENOENT.
        b"\x24\0\0\0\x02\0\0\0\1\0\0\0\0\0\0\0\xfe\xff\xff\xff" + bytes(16),
        # Lengths that would never move on.
        bytes(16),
        b"\0\0\0\0\x14\0\x02\0\1\0\0\0\0\0\0\0" + bytes(40),
    ],
)
def test_answers_of_the_kernel_that_are_no_list(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", lambda *given: Diagnostics(answer))
    assert sockets.ask_kernel([1]) is None


def test_a_list_in_several_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    first = entry(1, 5, attribute(2, struct.pack("=L", 6))) + entry(
        1, 6, attribute(0, b"/a/b\0") + attribute(2, struct.pack("=L", 7))
    )
    second = entry(10, 7, attribute(0, b"\0c\0")) + entry(1, 8, bytes(4))
    monkeypatch.setattr(socket, "socket", lambda *given: Diagnostics(first, second, message(3, b"\0\0\0\0")))
    assert sockets.ask_kernel([5, 6, 7, 8, 9]) == {
        5: UnixSocket(False, "", "/a/b"),
        6: UnixSocket(False, "/a/b", "@c@"),
        7: UnixSocket(True, "@c@", ""),
        8: UnixSocket(False, "", ""),
    }


def test_another_network_namespace(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for pid, namespace in (("self", 1), ("7", 2)):
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "ns" / "net").symlink_to(f"net:[{namespace}]")
    (tmp_path / "7" / "net").mkdir()
    (tmp_path / "7" / "net" / "unix").write_text(
        f"{HEADING}00000000efc53012: 00000002 00000000 00010000 0001 01 5 /run/a b\n"
    )
    monkeypatch.setattr(sockets, "ask_kernel", lambda inodes: pytest.fail("it knows only its own namespace"))
    assert read_unix_sockets(7, [5], str(tmp_path)) == {5: UnixSocket(True, "/run/a b", "")}


def test_a_name_that_adds_a_line_to_the_list(tmp_path: pathlib.Path) -> None:
    (tmp_path / "7" / "net").mkdir(parents=True)
    line = "00000000efc53012: 00000003 00000000 00000000 0001 03 {} {}\n"
    hostile = line.format(9, "/tmp/x\n" + line.format(5, "/run/.s.PGSQL.5432"))
    no_number = line.format(9, "/tmp/y\na 3 0 flags 1 3 5 /run/x")
    (tmp_path / "7" / "net" / "unix").write_text(HEADING + line.format(5, "") + hostile + no_number + "garbage\n\n")
    assert read_unix_sockets(7, [5], str(tmp_path)) == {5: UnixSocket(False, "", "")}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
    ],
)
def test_addresses_as_text(text: str, address: str) -> None:
    found = packed(text)
    assert found is not None
    assert written(found) == address


@pytest.mark.parametrize("text", ["", "localhost", "1", "10.0.0.1/8", "a\0b", "ä", "[", "::ffff:10.0.0.1:5"])
def test_what_is_no_address(text: str) -> None:
    assert packed(text) is None
