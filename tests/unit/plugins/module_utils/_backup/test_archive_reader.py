# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import random
import subprocess
import tarfile
import zlib

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import (
    is_database,
    open_archive,
    prove_archive,
    unpacked_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_writer import ArchiveWriter
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.layout import BLOCK, RECORD, padding
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.tests.unit.plugins.module_utils._backup import made_archive


@pytest.fixture(name="archive")
def make_archive(tmp_path: pathlib.Path) -> pathlib.Path:
    return made_archive.write(tmp_path / "synapse.tar")


def test_all_members_come_back(archive: pathlib.Path) -> None:
    with open_archive(str(archive)) as reader:
        assert reader.header["server_name"] == "example.org"
        found = {member.name: b"".join(member.chunks()) for member in reader.members()}
        assert reader.manifest["row_counts"] == {"users": 2}
    assert {name: found[name] for name in made_archive.MEMBERS} == made_archive.MEMBERS
    assert list(found)[0] == "database/0000"
    assert len(reader.digests) == 32 * (len(found) + 2)


def test_attributes_of_a_member(archive: pathlib.Path) -> None:
    with open_archive(str(archive)) as reader:
        [member] = [member for member in reader.members() if member.name == "files/0000"]
    assert (member.mode, member.owner, member.group, member.modified) == (0o640, "alice", "users", 1_700_000_000)
    assert member.size == len(made_archive.MEMBERS["files/0000"])


def test_the_database_is_unpacked(archive: pathlib.Path) -> None:
    with open_archive(str(archive)) as reader:
        pieces = [piece for member in reader.members() if is_database(member) for piece in member.chunks()]
    assert b"".join(unpacked_database("sqlite", pieces)) == made_archive.DATABASE
    assert b"".join(unpacked_database("postgresql", [b"PG", b"DMP"])) == b"PGDMP"


@pytest.mark.parametrize("pieces", [[b"no zlib"], [b"\x78\x01"], [], [zlib.compress(b"x"), b"more"]])
def test_a_database_that_cannot_be_unpacked(pieces: list[bytes]) -> None:
    with pytest.raises(SynapseError):
        list(unpacked_database("sqlite", pieces))


def test_proving_and_reading_again_find_the_same(archive: pathlib.Path) -> None:
    proven = prove_archive(str(archive))
    with open_archive(str(archive), proven=proven) as reader:
        for _member in reader.members():
            pass
        assert reader.proven() == proven


def test_the_manifest_is_not_known_before_the_end(archive: pathlib.Path) -> None:
    with open_archive(str(archive)) as reader, pytest.raises(SynapseError, match="was not read to its end"):
        _manifest = reader.manifest


def test_the_beginning_alone_can_be_read(archive: pathlib.Path) -> None:
    with open_archive(str(archive)) as reader:
        assert next(reader.members()).name == "database/0000"


def test_every_flipped_byte_is_found(archive: pathlib.Path) -> None:
    content = archive.read_bytes()
    for place in (*range(0, len(content), 97), *range(len(content) - RECORD, len(content), 13)):
        changed = bytearray(content)
        changed[place] ^= 0x20
        archive.write_bytes(changed)
        with pytest.raises(SynapseError):
            prove_archive(str(archive))


def test_every_cut_is_found(archive: pathlib.Path) -> None:
    content = archive.read_bytes()
    lengths = random.Random(1).sample(range(len(content)), 60)
    for length in (*lengths, *range(0, len(content), BLOCK)):
        archive.write_bytes(content[:length])
        with pytest.raises(SynapseError):
            prove_archive(str(archive))


def test_what_follows_the_end_is_found(archive: pathlib.Path) -> None:
    archive.write_bytes(archive.read_bytes() + b"more")
    with pytest.raises(SynapseError, match="does not end as a backup ends"):
        prove_archive(str(archive))


@pytest.mark.parametrize("name", ["media/0/local_content/aa/bb/cc", "manifest.json", "files/0001", "SHA256SUMS"])
def test_a_missing_member_is_found(archive: pathlib.Path, name: str) -> None:
    content = archive.read_bytes()
    with tarfile.open(archive) as whole:
        member = whole.getmember(name)
    end = member.offset_data + member.size + padding(member.size)
    archive.write_bytes(content[: member.offset] + content[end:])
    with pytest.raises(SynapseError, match="is damaged"):
        prove_archive(str(archive))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_a_member_that_is_not_a_file_is_refused(archive: pathlib.Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("media/0/link")
    entry.type, entry.linkname = kind, "/etc/passwd"
    content, end = archive.read_bytes(), 2 * BLOCK
    archive.write_bytes(content[:end] + entry.tobuf(tarfile.USTAR_FORMAT) + content[end:])
    with pytest.raises(SynapseError, match="something that a backup does not contain"):
        prove_archive(str(archive))


@pytest.mark.parametrize("name", ["media/0/../../../etc/passwd", "/etc/passwd"])
def test_a_name_that_leaves_the_archive_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    path = made_archive.write(tmp_path / "synapse.tar", {name: b"root"})
    with pytest.raises(SynapseError, match="header in it is not valid"):
        prove_archive(str(path))


def test_a_header_of_another_backup_is_found(tmp_path: pathlib.Path) -> None:
    path = made_archive.write(tmp_path / "synapse.tar", server_name="other.org")
    with pytest.raises(SynapseError, match="not of the same backup"):
        prove_archive(str(path))


def test_a_changed_archive_is_found_in_the_second_reading(archive: pathlib.Path) -> None:
    proven = prove_archive(str(archive))
    archive.write_bytes(archive.read_bytes())
    os.utime(archive, ns=(1, 1))
    with (
        pytest.raises(SynapseError, match="has changed since it was verified"),
        open_archive(str(archive), None, proven),
    ):
        pass


def test_a_changed_member_is_found_as_soon_as_it_ends(archive: pathlib.Path) -> None:
    proven = prove_archive(str(archive))
    changed = proven._replace(digests=proven.digests[:32] + bytes(32) + proven.digests[64:])
    with (
        pytest.raises(SynapseError, match="database/0000 has changed"),
        open_archive(str(archive), None, changed) as reader,
    ):
        list(reader.members())


@pytest.mark.parametrize("content", [b"", b"a text", bytes(4096)])
def test_another_file_is_refused(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(SynapseError, match="is not a backup of this collection"):
        prove_archive(str(path))


def test_another_tar_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "other.tar"
    with tarfile.open(path, "w") as other:
        other.addfile(tarfile.TarInfo("a"))
    with pytest.raises(SynapseError, match="does not begin like a backup"):
        prove_archive(str(path))


def test_json_that_is_too_deep(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "synapse.tar"
    with path.open("wb") as file, ArchiveWriter(file.fileno(), 1) as writer:
        writer.add("header.json", b"[" * 100_000)
        writer.finish()
    with pytest.raises(SynapseError, match="header.json is not JSON"):
        prove_archive(str(path))


def test_a_path_that_does_not_exist(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InvalidInput, match="does not exist on this host"):
        prove_archive(str(tmp_path / "missing"))
    with pytest.raises(InvalidInput, match="is not a file"):
        prove_archive(str(tmp_path))


def test_sha256sum_checks_an_unpacked_archive(archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    names = {"media/0/back\\slash": b"2", "media/0/new\nline": b"3", "media/0/with space": b"1"}
    made_archive.write(archive, names)
    assert prove_archive(str(archive)).header["server_name"] == "example.org"
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path], check=True)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "media/0/new\nline").read_bytes() == b"3"
