# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What synapse_backup makes of real servers, and what synapse_backup_info finds in it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.archive_reader import (
    open_archive,
    prove_archive,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.decryption import Identity
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.scratch_database import (
    Login,
    connected,
    find_administrator,
    scratch_database,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.sqlite_copy import DIRECTORY
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.connection import DatabaseSettings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import SynapseError
from ansible_collections.matrix_ops.synapse.tests.contract import servers
from ansible_collections.matrix_ops.synapse.tests.contract.backed_up import BackedUp, filled, make_keys
from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module

_MODULE, _INFO = "synapse_backup", "synapse_backup_info"
_KEYS = "e2e_one_time_keys_json"


@pytest.fixture(name="made", scope="module", params=servers.ENGINES)
def make_server(request: pytest.FixtureRequest) -> t.Iterator[BackedUp]:
    with servers.own_servers(request.param) as [server]:
        yield filled(server)


@pytest.fixture(name="backups")
def make_destination(made: BackedUp, tmp_path: Path) -> Path:
    return tmp_path / "backups"


def test_check_run_and_again(made: BackedUp, backups: Path) -> None:
    declared = made.declare(backups)
    predicted = run_module(_MODULE, declared, check=True, diff=True)
    assert predicted["changed"], predicted
    assert predicted["backup"]["estimated_size"] > 0
    assert not backups.exists()
    done = run_module(_MODULE, declared, check=False, diff=True)
    assert done["changed"], done
    assert done["steps"] == predicted["steps"] == [f"make a backup of {made.server.name} in {backups}"]
    assert done["diff"] == predicted["diff"]
    assert done["backup"]["kept"] == predicted["backup"]["kept"] == 1
    listed = sorted(path.name for path in backups.iterdir())
    again = run_module(_MODULE, declared, check=False, diff=True)
    assert (again["changed"], again["steps"], again["diff"]["before"]) == (False, [], again["diff"]["after"]), again
    assert again["backup"]["path"] == done["backup"]["path"]
    assert sorted(path.name for path in backups.iterdir()) == listed
    assert stat.S_IMODE(backups.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in backups.iterdir()} == {0o600}
    assert not [secret for secret in made.secrets if secret in json.dumps([predicted, done, again])]


def test_the_archive_contains_the_server(made: BackedUp, backups: Path) -> None:
    path = made.back_up(backups)["path"]
    with open_archive(path) as reader:
        content = {member.name: b"".join(member.chunks()) for member in reader.members()}
        manifest = reader.manifest
    files = {file["path"]: content[file["member"]] for file in manifest["files"]}
    server = Path(made.server.directory)
    assert files[str(server / "homeserver.yaml")] == (server / "homeserver.yaml").read_bytes()
    assert files[str(server / "signing.key")] == (server / "signing.key").read_bytes()
    assert {file["kind"] for file in manifest["files"]} >= {"configuration", "log_configuration", "signing_key"}
    media = {name: found for name, found in content.items() if name.startswith("media/0/")}
    store = server / "media_store"
    assert {str(store / name.partition("/0/")[2]): found for name, found in media.items()} == made.media_on_disk()
    assert manifest["media"]["files"] == len(media) > 0
    assert manifest["synapse_version"] == manifest["installation"]["synapse_version"]
    assert any(package.startswith("matrix-synapse==") for package in manifest["installation"]["packages"])
    counts = manifest["row_counts"]
    assert counts["users"] == made.count("users")
    assert (counts[_KEYS], made.count(_KEYS) > 0) == (0, True)
    assert manifest["sample"]["server_name"] == made.server.name
    assert list(content)[0] == "database/0000"


def test_the_one_time_keys_are_not_in_the_archive(made: BackedUp, backups: Path, tmp_path: Path) -> None:
    database = made.unpack_database(made.back_up(backups)["path"], tmp_path)
    assert made.one_time_key.encode() not in database


def test_verified_while_synapse_writes(made: BackedUp, backups: Path) -> None:
    with made.being_used():
        done = made.back_up(backups, verify=True)
    assert done["verified"]
    assert made.scratch_databases() == []
    assert not (Path(made.server.directory) / DIRECTORY).exists()


def test_links_among_the_media_are_listed(made: BackedUp, backups: Path) -> None:
    link = Path(made.server.directory) / "media_store" / "local_content" / "link"
    link.symlink_to("/etc/passwd")
    try:
        done = made.back_up(backups)
    finally:
        link.unlink()
    assert done["skipped_media"] == [{"path": "0/local_content/link", "reason": "it is a link"}]
    assert done["vanished_media"] == []


def test_media_that_vanish_are_listed(made: BackedUp, backups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Path(made.server.directory) / "media_store" / "local_content" / "zz_lost"
    lost.write_bytes(b"lost")
    # After it was listed, and before it is opened.
    opened = os.open

    def lose(path: t.Any, *arguments: t.Any, **options: t.Any) -> int:
        if path == "zz_lost":
            lost.unlink()
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", lose)
    done = made.back_up(backups)
    assert done["vanished_media"] == ["0/local_content/zz_lost"]


def test_the_location_of_media_alone(made: BackedUp, backups: Path) -> None:
    done = made.back_up(backups, media="location")
    assert (done["media"], done["media_files"]) == ("location", 0)
    manifest = prove_archive(done["path"]).manifest
    assert manifest["media"]["directories"][0]["path"] == str(Path(made.server.directory) / "media_store")
    # It does not count where all media are asked for.
    assert run_module(_MODULE, made.declare(backups), check=True, diff=False)["changed"]


def test_extra_paths(made: BackedUp, backups: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("syt_secret")
    (tmp_path / "large").write_bytes(os.urandom(20 * 1024**2))
    declared = made.declare(backups, extra_paths=[str(tmp_path / "token"), str(tmp_path / "large")])
    predicted = run_module(_MODULE, declared, check=True, diff=False)
    done = made.back_up(backups, extra_paths=declared["extra_paths"])
    assert done["size"] <= predicted["backup"]["estimated_size"]
    files = [each for each in prove_archive(done["path"]).manifest["files"] if each["kind"] == "extra"]
    assert [file["path"] for file in files] == declared["extra_paths"]
    assert "syt_secret" not in Path(f"{done['path']}.json").read_text()


def test_old_archives_are_removed(made: BackedUp, backups: Path) -> None:
    paths = []
    for days in (40, 10, 3):
        paths.append(Path(made.back_up(backups, max_age="0", media="location")["path"]))
        made.make_older(paths[-1], days)
    foreign = backups / "synapse-other.org-20200101T000000Z.tar"
    foreign.write_text("of somebody else")
    declared = made.declare(backups, keep_last=2, keep_within="5d", media="location")
    predicted = run_module(_MODULE, declared, check=True, diff=True)
    assert predicted["backup"]["removed"] == [paths[1].name, paths[0].name]
    done = run_module(_MODULE, declared, check=False, diff=True)
    assert (done["steps"], done["diff"]) == (predicted["steps"], predicted["diff"])
    assert (done["backup"]["removed"], done["backup"]["kept"]) == (predicted["backup"]["removed"], 2)
    assert [path.exists() for path in (*paths, foreign)] == [False, False, True, True]
    assert not Path(f"{paths[0]}.json").exists()
    assert not run_module(_MODULE, declared, check=False, diff=True)["changed"]
    # Without a new one, the rest is removed too.
    less = run_module(_MODULE, {**declared, "keep_last": 1, "keep_within": None}, check=False, diff=True)
    assert less["steps"] == [f"remove {paths[2].name}"]


@pytest.fixture(name="key_directory")
def make_key_directories() -> t.Iterator[t.Callable[[], Path]]:
    """Return a function that makes a directory with a short path: a socket in it may have at most 107 characters."""
    with contextlib.ExitStack() as stack:

        def make() -> Path:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="keys_"))
            # An agent of GnuPG would stay for a while.
            stop = ["gpgconf", "--homedir", directory, "--kill", "all"]
            stack.callback(subprocess.run, stop, capture_output=True, check=False)
            return Path(directory)

        yield make


@pytest.mark.parametrize("kind", ["age", "gpg"])
def test_an_encrypted_archive(
    made: BackedUp, backups: Path, tmp_path: Path, key_directory: t.Callable[[], Path], kind: str
) -> None:
    public, identity = make_keys(kind, key_directory())
    declared = {f"{kind}_recipients": [public]}
    done = made.back_up(backups, **declared, verify=True, **identity)
    assert (done["encryption"], done["verified"]) == (kind, True)
    assert Path(done["path"]).suffix == f".{kind}"
    content = Path(done["path"]).read_bytes()
    assert not [secret for secret in (*made.secrets, "homeserver.yaml", "ustar") if secret.encode() in content]
    found = run_module(_INFO, {"src": done["path"], **identity}, check=False, diff=False)["backup"]
    assert found["server_name"] == made.server.name
    again = run_module(_MODULE, made.declare(backups, **declared), check=True, diff=False)
    assert not again["changed"]
    _refused(_INFO, {"src": done["path"]}, r"is encrypted with (age|GnuPG)\. Set ")
    _other, wrong = make_keys(kind, key_directory())
    _refused(_INFO, {"src": done["path"], **wrong}, "cannot be decrypted: ")
    _refused(_MODULE, made.declare(backups, **declared, verify=True, max_age="0"), "verify needs the private key")
    _refused(
        _MODULE,
        made.declare(backups, **declared, verify=True, max_age="0", **wrong),
        "cannot be decrypted|does not decrypt",
    )
    # Every kind of damage is found: at the beginning, in the middle, at the end, and a missing end.
    for place in (60, len(content) // 2, len(content) - 3):
        damaged = bytearray(content)
        damaged[place] ^= 1
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(Exception, match="damaged"):
            prove_archive(str(tmp_path / "damaged"), Identity(**identity))
    (tmp_path / "damaged").write_bytes(content[:-100])
    _refused(_INFO, {"src": str(tmp_path / "damaged"), **identity}, "cannot be decrypted|is damaged")


def test_information_without_secrets(made: BackedUp, backups: Path, tmp_path: Path) -> None:
    path = made.back_up(backups)["path"]
    result = run_module(_INFO, {"src": path}, check=False, diff=False)
    assert not result["changed"]
    assert result["backup"]["row_counts"]["users"] == made.count("users")
    assert result["backup"]["size"] == Path(path).stat().st_size
    assert not [secret for secret in made.secrets if secret in json.dumps(result)]
    content = bytearray(Path(path).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.tar").write_bytes(content)
    _refused(_INFO, {"src": str(tmp_path / "damaged.tar")}, r"is damaged: .* Use another backup")
    _refused(_INFO, {"src": str(tmp_path / "missing.tar")}, "does not exist on this host")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"keep_last": 0}, "keep_last is 0"),
        ({"keep_within": "soon"}, "keep_within 'soon' is not a duration"),
        ({"margin": "900T"}, r"too little space: .* are free\. Free some space"),
        ({"synapse_python": "/usr/bin/env"}, "does not run a Python with Synapse"),
        ({"age_recipients": ["age1x"]}, "not a public key of age"),
        ({"age_recipients": ["-o/tmp/x"]}, "not a public key of age"),
        ({"gpg_recipients": ["alice@example.org"]}, "neither a public key"),
        ({"gpg_recipients": ["/etc/hostname"]}, "does not contain a public key"),
        ({"gpg_recipients": ["-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxx\n"]}, "not one public key"),
        ({"age_recipients": ["age1x"], "gpg_recipients": ["/x"]}, "Set either age_recipients or gpg_recipients"),
        ({"extra_paths": ["/nowhere/x"]}, r"extra_paths contains /nowhere/x, which does not exist"),
        ({"dest_directory": "/etc"}, "a directory of the system"),
        ({"config_path": ["/nowhere.yaml"]}, r"/nowhere\.yaml does not exist"),
    ],
)
def test_refusals(made: BackedUp, backups: Path, changed: dict[str, t.Any], message: str) -> None:
    _refused(_MODULE, {**made.declare(backups), **changed}, message)
    assert not backups.exists()


def test_destinations_that_are_refused(made: BackedUp, backups: Path) -> None:
    inside = str(Path(made.server.directory) / "media_store" / "backups")
    _refused(_MODULE, {**made.declare(backups), "dest_directory": inside}, "is inside the media of Synapse")
    backups.mkdir(mode=0o755)
    _refused(_MODULE, made.declare(backups), "chmod 700")
    os.chmod(backups, 0o777)
    _refused(_MODULE, made.declare(backups), "every user may write to")
    assert not list(backups.iterdir())


def test_a_media_store_that_is_not_there(made: BackedUp, backups: Path) -> None:
    declared = {**made.declare(backups), "working_directory": "/nowhere"}
    store = Path(made.server.directory, "media_store")
    store.rename(store.with_name("moved"))
    try:
        _refused(
            _MODULE,
            {**declared, "working_directory": made.server.directory},
            "The media store of Synapse does not exist",
        )
        # The place where a disk is mounted, without the disk.
        store.mkdir()
        message = r"The media store of Synapse has no files .*names 5 files of media\. .* or purge_media to false for a"
        _refused(_MODULE, made.declare(backups), message)
        made.back_up(backups, media="location", max_age="0")
        store.rmdir()
    finally:
        store.with_name("moved").rename(store)


def test_killed_at_any_moment(made: BackedUp, backups: Path, tmp_path: Path) -> None:
    declared = made.declare(backups, verify=True, max_age="0")
    script = tmp_path / "run.py"
    script.write_text(
        "import json, sys\n"
        "from ansible_collections.matrix_ops.synapse.tests.contract.modules import run_module\n"
        "sys.exit(bool(run_module('synapse_backup', json.loads(sys.argv[1]), check=False, diff=False).get('failed')))\n"
    )
    begin = time.monotonic()
    subprocess.run([sys.executable, script, json.dumps(declared)], check=True)
    whole = time.monotonic() - begin
    for part in (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
        with subprocess.Popen([sys.executable, script, json.dumps(declared)], start_new_session=True) as process:
            time.sleep(whole * part)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    for path in backups.glob("*.tar"):
        assert prove_archive(str(path)).header["server_name"] == made.server.name
    made.back_up(backups, verify=True, max_age="0")
    assert not list(backups.glob("*.partial"))
    assert {path.name + ".json" for path in backups.glob("*.tar")} == {path.name for path in backups.glob("*.json")}
    assert made.scratch_databases() == []
    assert not (Path(made.server.directory) / DIRECTORY).exists()


@pytest.mark.parametrize("made", ["postgresql"], indirect=True)
def test_scratch_databases_of_an_administrator(made: BackedUp) -> None:
    own = {"dbname": made.server.database["database"], "sslmode": None}
    own |= {name: made.server.database[name] for name in ("host", "port", "user", "password")}
    login = Login(own["user"], own["password"] or "")
    made.server.write("CREATE ROLE plain LOGIN PASSWORD 'plain-secret'")
    plain = DatabaseSettings("psycopg2", {**own, "user": "plain", "password": "plain-secret"}, "homeserver.yaml")
    with pytest.raises(
        SynapseError, match='the user plain of PostgreSQL cannot create one.* ALTER ROLE "plain" CREATEDB'
    ):
        find_administrator(plain, None, Login())
    with pytest.raises(SynapseError, match="verify_login_user plain cannot create databases"):
        find_administrator(plain, None, Login("plain", "plain-secret"))
    with pytest.raises(
        SynapseError, match=r"failed for user .plain.\. Check verify_login_user and verify_login_password"
    ):
        find_administrator(plain, None, Login("plain", "wrong"))
    made.server.write("CREATE ROLE creator LOGIN CREATEDB PASSWORD 'creator-secret'")
    with pytest.raises(SynapseError, match='belongs to plain.* let a superuser run: GRANT "plain" TO "creator"'):
        find_administrator(plain, None, Login("creator", "creator-secret"))
    made.server.write("GRANT plain TO creator")
    with scratch_database(find_administrator(plain, None, Login("creator", "creator-secret")), plain, None):
        pass
    administrator = find_administrator(plain, None, login)
    left, foreign = f"matrix_ops_backup_{'a' * 16}", f"matrix_ops_backup_{'b' * 16}"
    for name in (left, foreign):
        made.server.write(f"CREATE DATABASE {name}")
    with scratch_database(administrator, plain, None) as scratch, connected(scratch, None) as database:
        assert database.rows("SELECT current_user::text") == [("plain",)]
        [(comment, scratch_limit)] = made.server.rows(
            "SELECT shobj_description(oid, 'pg_database'), datconnlimit FROM pg_database WHERE datname = ?",
            scratch.arguments["dbname"],
        )
        # One that is used is not dropped by another run.
        with scratch_database(administrator, plain, None):
            assert (scratch.arguments["dbname"],) in made.server.rows("SELECT datname FROM pg_database")
    made.server.write(f"COMMENT ON DATABASE {left} IS '{comment}'")
    # A run was killed after the creation, before there was a comment.
    made.server.write(f"CREATE DATABASE matrix_ops_backup_{'c' * 16} CONNECTION LIMIT {scratch_limit}")
    with scratch_database(administrator, plain, None):
        pass
    assert made.scratch_databases() == [foreign]
    made.server.write(f"DROP DATABASE {foreign}")


def test_two_runs_at_the_same_time(made: BackedUp, backups: Path) -> None:
    made.back_up(backups)
    script = (
        "import fcntl, os, sys\n"
        "fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX)\n"
        "print(flush=True)\n"
        "input()\n"
    )
    lock = backups / ".matrix_ops.synapse.backup.lock"
    with subprocess.Popen(
        [sys.executable, "-c", script, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        _refused(_MODULE, made.declare(backups, max_age="0"), "Another run is making a backup")
        other.communicate("\n")


def _refused(module: str, declared: dict[str, t.Any], message: str) -> None:
    told = []
    for check in (True, False):
        result = run_module(
            module, {key: value for key, value in declared.items() if value is not None}, check=check, diff=False
        )
        assert result.get("failed"), result
        assert re.search(message, result["msg"]), result["msg"]
        assert "Traceback" not in result["msg"]
        told.append(result["msg"])
    assert told[0] == told[1]
