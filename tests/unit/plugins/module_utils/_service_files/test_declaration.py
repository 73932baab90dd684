# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task can declare, and what it cannot."""

from __future__ import annotations

import os
import typing as t

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import Attributes
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service_files.declaration import DeclaredFile, is_ours

OWN = "# matrix_ops.synapse\n"
FOUND = Attributes(0o600, 12, 34)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", 'files has the path "": set an absolute path'),
        ("etc/x.conf", "set an absolute path"),
        ("/etc/../x.conf", "without [.][.]"),
        ("/etc/x\0.conf", r"/etc/x\\x00.conf: set an absolute path .* characters that cannot be printed"),
        ("/etc/x\n.conf", "characters that cannot be printed"),
        ("/etc/x\udcff.conf", r"/etc/x\\udcff.conf: .*characters that cannot be printed"),
        ("/", "is that of a directory: set the path of a file in it"),
        ("/etc/x.d/", "is that of a directory"),
        ("/etc/x.d/.", "is that of a directory"),
        ("/a" * 101, "more than 100 directories deep"),
        (f"/etc/{'x' * 256}", "a name in it is too long"),
        (f"/etc/{'é' * 128}", "a name in it is too long"),
        (f"/{'x' * 250}" * 17, "a name in it is too long"),
        ("/etc/.matrix_ops.synapse", "uses the name .matrix_ops.synapse for its own files"),
        ("/etc/.matrix_ops.synapse.0/x", "uses the name .matrix_ops.synapse.0 for its own files"),
    ],
)
def test_paths_that_are_refused(path: str, message: str) -> None:
    for present in (True, False):
        with pytest.raises(InvalidInput, match=message) as caught:
            DeclaredFile(path, OWN, present).check()
        assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"content": None}, "files has no content for /etc/x.conf: set content"),
        ({"content": ""}, "does not have matrix_ops.synapse in its first line"),
        ({"content": f"\n{OWN}"}, "does not have matrix_ops.synapse in its first line"),
        ({"content": f"{OWN}\0"}, "has a NUL character or bytes that are not UTF-8"),
        ({"content": f"{OWN}\udcff"}, "has a NUL character or bytes that are not UTF-8"),
        ({"content": OWN + "x" * 8 * 1024 * 1024}, "is larger than 8388608 bytes"),
        ({"mode": 644}, "mode 644 is not a file mode.* It is set for /etc/x.conf"),
        ({"mode": "u=rw"}, "is not a file mode"),
    ],
)
def test_declarations_that_are_refused(declared: dict[str, t.Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        DeclaredFile("/etc/x.conf", **{"content": OWN, **declared}).check()


def test_what_can_be_declared() -> None:
    DeclaredFile("/etc//./x\\x2d 'é'.d/x.conf", OWN).check()
    DeclaredFile("/etc/x.conf", present=False).check()
    assert DeclaredFile("/etc//./x.d/x.conf", OWN).normal_path == "/etc/x.d/x.conf"
    assert DeclaredFile("/x", "# matrix_ops.synapse").text == OWN
    assert DeclaredFile("/x", OWN).text == OWN
    assert DeclaredFile("/x", f"{OWN}\n").text == f"{OWN}\n"


def test_attributes() -> None:
    declared = DeclaredFile("/x", OWN)
    assert declared.attributes(FOUND) == Attributes(0o644, 12, 34)
    assert declared.attributes(None) == Attributes(0o644, os.geteuid(), os.getegid())
    assert DeclaredFile("/x", OWN, owner="", group="56").attributes(FOUND) == Attributes(0o644, 12, 56)
    assert DeclaredFile("/x", OWN, owner="0", mode="0600").attributes(FOUND) == Attributes(0o600, 0, 34)


def test_an_owner_that_does_not_exist_yet() -> None:
    declared = DeclaredFile("/x", OWN, owner="not_yet_there")
    assert declared.known(None) is None
    assert declared.shown(FOUND) == {"mode": "0644", "owner": "not_yet_there", "group": FOUND.shown()["group"]}
    with pytest.raises(InvalidInput, match="owner not_yet_there does not exist on this host.* It is set for /x"):
        declared.attributes(None)


def test_which_content_is_ours() -> None:
    assert is_ours(b"")
    assert is_ours(b"# Written by matrix_ops.synapse.x")
    assert is_ours(b"\xff matrix_ops.synapse\nx")
    assert not is_ours(b"\n# matrix_ops.synapse")
    assert not is_ours(b"matrix_ops\nsynapse")
