# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The files that a server consists of besides its data: configuration, keys, units, and all that it names."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import group_name, user_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.media import is_inside
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    Configuration,
    find_files,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.registrations import registration_paths
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import KeyPath, leaves
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import (
    ConfigurationError,
    InvalidInput,
    SynapseError,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._system_directory import belongs_to

# In bytes. A larger file that a setting names is data, and not configuration.
LARGEST_FILE = 64 * 1024 * 1024
_FILES_AT_MOST = 10_000
_DEEPEST = 16
# Of the system, and renewed by it: a restore must not replace those of a newer system.
_OF_SYSTEM = ("/etc/ssl/certs", "/etc/pki", "/run", "/var/run")
_TLS = ("tls_certificate_path", "tls_private_key_path")
_PROCESS_FILES = ("pid_file", "worker_pid_file")
_DIRECTORIES = ("templates", "email", "sso", "custom_template_directory", "template_dir")
_OF_WORKER = {"worker_app", "worker_name"}
# Kinds of files that may be in a directory of media without being media.
_ANYWHERE = ("extra", "other", "template")
# A restore, a reset and a migration write them next to the configuration. They belong to that host only.
NOT_KEPT = (".matrix_ops-restore.json", ".matrix_ops-reset.json", ".matrix_ops-migration.json")
# Archives of this or another server, with what belongs to them.
_ARCHIVE = re.compile(r"synapse-.+\.tar(?:\.[a-z]+)*|\.matrix_ops\.synapse\.backup\.lock")
_READ = os.O_RDONLY | os.O_NONBLOCK


class Kept(t.NamedTuple):
    """A file that an archive contains: its absolute path, and what it is for."""

    path: str
    kind: str


class Opened(t.NamedTuple):
    """The content of a file, and its attributes as the manifest contains them."""

    content: bytes
    described: dict[str, t.Any]


class Collector:
    """Collects paths. The first kind of a path is kept; `data` are paths that are data, and no files of a server.

    `media`: the directories whose files the archive contains as media. `archives`: the directory of the archives. The
    configuration may be in one of them.
    """

    def __init__(self, data: t.Sequence[str], media: t.Sequence[str] = (), archives: str = "") -> None:
        self._data = tuple(data)
        self._media = tuple(media)
        self._archives = os.path.realpath(archives) if archives else ""
        self._found: dict[str, str] = {}

    def files(self) -> list[Kept]:
        """Return what was collected, in the order in which it was."""
        return [Kept(path, kind) for path, kind in self._found.items()]

    def add_configuration(
        self, config_path: t.Sequence[str], configuration: Configuration, working_directory: str | None
    ) -> None:
        """Add the configuration files, and the files that their settings name."""
        directory = working_directory or "/"
        for path in find_files(config_path):
            self._add(path, "drop_in" if path not in config_path else "configuration")
        for path in registration_paths(configuration, directory):
            self._add(path, "registration")
        self._add(_signing_key(configuration, directory), "signing_key")
        self._add_settings(configuration, "log_config", directory)

    def add_worker(self, path: str, working_directory: str | None) -> None:
        """Add a configuration file of a worker, if it exists, and the files that its settings name."""
        self._add(path, "configuration")
        # One that no worker is started with may be unfinished.
        with contextlib.suppress(ConfigurationError):
            found = read_configuration([path]) if os.path.isfile(path) else None
            if found is not None and _OF_WORKER & found.settings.keys():
                self._add_settings(found, "worker_log_config", working_directory or "/")

    def _add_settings(self, configuration: Configuration, log_setting: str, directory: str) -> None:
        """Add the files that settings name. `log_setting`: the one of them that names the configuration of the log."""
        settings = configuration.settings
        log_config = settings.get(log_setting)
        if isinstance(log_config, str):
            self._add(os.path.join(directory, log_config), "log_configuration")
        for keys, text in _texts(settings):
            named = _named_path(keys, text, directory)
            if named is not None:
                self._add_named(named, keys)

    def add_extra(self, path: str, option: str = "extra_paths") -> None:
        """Add a file, or all files below a directory. Raises InvalidInput, beginning with `option`, if that fails."""
        if not os.path.isabs(path) or not os.path.exists(path):
            raise InvalidInput(f"{option} contains {path}, which does not exist. Use an absolute path that does.")
        if not os.path.isdir(path) and not os.path.isfile(path):
            raise InvalidInput(f"{option} contains {path}, which is neither a file nor a directory. Remove it.")
        self._add_tree(path, "extra", option)

    def add(self, path: str, kind: str) -> None:
        """Add a file, if it exists."""
        self._add(path, kind)

    def _add_named(self, path: str, keys: KeyPath) -> None:
        if keys[-1] in _PROCESS_FILES or _is_of_system(path):
            return
        if os.path.isdir(path):
            # Only directories of templates: any other may contain the data of something else.
            if any(key in _DIRECTORIES for key in keys):
                self._add_tree(path, "template")
            return
        kind = "tls" if keys[-1] in _TLS else "secret" if keys[-1].endswith("_path") else "other"
        self._add(path, kind)

    def _add_tree(self, path: str, kind: str, option: str = "") -> None:
        """Add what is there. `option`: the one that names the path, of which nothing may be left out then."""
        if not os.path.isdir(path):
            self._add(path, kind, option)
            return
        before = len(self._found)
        for place, directories, names in os.walk(path, onerror=_refuse):
            is_deepest = place.count("/") - path.count("/") >= _DEEPEST
            if option and is_deepest and directories:
                raise InvalidInput(
                    f"{option} contains {path}, with directories that are more than {_DEEPEST} levels deep, such as"
                    f" {os.path.join(place, directories[0])}. Back it up with a tool for whole directories."
                )
            directories[:] = [] if is_deepest else sorted(directories)
            for name in sorted(names):
                if not os.path.islink(os.path.join(place, name)):
                    self._add(os.path.join(place, name), kind, option)
            if len(self._found) - before > _FILES_AT_MOST:
                if option:
                    raise InvalidInput(
                        f"{option} contains {path}, with more than {_FILES_AT_MOST} files. Back it up with a tool"
                        " for whole directories."
                    )
                break

    def _add(self, path: str, kind: str, option: str = "") -> None:
        path = os.path.normpath(path)
        if path in self._found or os.path.basename(path) in NOT_KEPT:
            return
        try:
            status = os.stat(path)
        except OSError:
            return
        apart = (*self._data, *self._media) if kind in _ANYWHERE else self._data
        if any(is_inside(path, data) for data in apart) or self._is_archive(path):
            return
        if not stat.S_ISREG(status.st_mode):
            return
        if not path.isprintable():
            raise InvalidInput(
                f"The file {ascii(path)} has characters in its path with which a restore refuses it. Rename it."
            )
        if status.st_size > LARGEST_FILE:
            if option:
                raise InvalidInput(f"{option} contains {path}, which is larger than {LARGEST_FILE} bytes.")
            return
        self._found[path] = kind

    def _is_archive(self, path: str) -> bool:
        directory, name = os.path.split(os.path.realpath(path))
        return directory == self._archives and _ARCHIVE.fullmatch(name) is not None


def read_kept(kept: Kept) -> Opened:
    """Return the content and the attributes of a file. Raises SynapseError if it cannot be read."""
    try:
        descriptor = os.open(kept.path, _READ)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise SynapseError(
            f"{kept.path} cannot be read: {error.strerror}. Run the task with become, as root."
        ) from error
    if len(content) > LARGEST_FILE:
        raise SynapseError(
            f"{kept.path} is larger than {LARGEST_FILE} bytes. Move it away if it is not part of the configuration."
        )
    return Opened(content, {"path": kept.path, "kind": kept.kind, "size": len(content), **_attributes(status)})


def describe_directories(paths: t.Iterable[str]) -> list[dict[str, t.Any]]:
    """Return the directories that contain the paths, and those that are directories, without the system's."""
    found: set[str] = set()
    for path in paths:
        above = path if os.path.isdir(path) else os.path.dirname(path)
        while above not in found and belongs_to(above) is None and above != "/":
            found.add(above)
            above = os.path.dirname(above)
    described = []
    for path in sorted(found):
        try:
            described.append({"path": path, **_attributes(os.stat(path))})
        except OSError:
            continue
    return [{name: value for name, value in each.items() if name != "modified"} for each in described]


def _refuse(error: OSError) -> t.NoReturn:
    raise SynapseError(f"{error.filename} cannot be read: {error.strerror}. Run the task with become, as root.")


def _attributes(status: os.stat_result) -> dict[str, t.Any]:
    return {
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "owner": user_name(status.st_uid),
        "group": group_name(status.st_gid),
        "modified": int(status.st_mtime),
    }


def _signing_key(configuration: Configuration, directory: str) -> str:
    path = configuration.settings.get("signing_key_path")
    # The default of Synapse (synapse/config/_base.py, key.py), next to the last configuration file.
    last = os.path.dirname(configuration.files[-1].path) if configuration.files else directory
    return (
        os.path.join(directory, str(path)) if path else os.path.join(last, f"{configuration.server_name}.signing.key")
    )


def _named_path(keys: KeyPath, text: str, directory: str) -> str | None:
    """Return the path that a setting names, if it may be one."""
    if "\n" in text or "\0" in text or not text:
        return None
    if os.path.isabs(text):
        return text
    return os.path.join(directory, text) if keys and keys[-1].endswith("_path") else None


def _is_of_system(path: str) -> bool:
    return belongs_to(os.path.normpath(path)) is not None or any(is_inside(path, place) for place in _OF_SYSTEM)


def _texts(settings: dict[str, t.Any]) -> t.Iterator[tuple[KeyPath, str]]:
    for keys, value in leaves(settings).items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                yield keys, text
            elif isinstance(text, dict):
                yield from (((*keys, *inner), found) for inner, found in _texts(text))
