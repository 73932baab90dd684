# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What a restore must know about the host: the service, its user, its units, and what Synapse is installed with."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import json
import os
import pwd
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._attributes import group_name
from ansible_collections.matrix_ops.synapse.plugins.module_utils._backup.collection import Kept
from ansible_collections.matrix_ops.synapse.plugins.module_utils._command import run_command
from ansible_collections.matrix_ops.synapse.plugins.module_utils._database.as_user import started_as
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput, SynapseError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import (
    MAIN_APP,
    Process,
    ProcessReader,
    find_processes,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.runtime import Host
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.systemctl import (
    Shown,
    running_instances,
    show_units,
    started_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._service.unit_description import example_of

_ASK = """
import importlib.metadata, json, platform
found = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions() if each.metadata["Name"]}
print(json.dumps([importlib.metadata.version("matrix-synapse"), platform.python_version(), found]))
"""
_TIMEOUT = 60.0
# The ends of the names of directories in which a link to a unit lets another one start it (systemd.unit(5)).
_STARTED = (".wants", ".requires")
_OF_PACKAGES, _OF_OPERATORS = ("/usr/", "/lib/", "/run/"), "/usr/local/"

Found = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """How to find the service. `unit` and `worker_unit` are only used with the manager systemd."""

    config_path: tuple[str, ...]
    manager: str
    unit: str
    worker_unit: str
    environment_files: tuple[str, ...]
    synapse_python: str
    working_directory: str | None


def read_installation(synapse_python: str, uid: int | None) -> Found:
    """Return the versions of Synapse and of all packages of its Python. Raises InvalidInput if it has no Synapse."""
    try:
        done = run_command([synapse_python, "-I", "-B", "-c", _ASK], _TIMEOUT, **started_as(uid))
        version, python_version, packages = json.loads(done.output)
    except (SynapseError, ValueError) as error:
        raise InvalidInput(
            f"synapse_python {synapse_python} does not run a Python with Synapse. Set it to the Python interpreter that"
            " Synapse runs with."
        ) from error
    return {
        "kind": _kind(synapse_python),
        "python": synapse_python,
        "python_version": python_version,
        "synapse_version": version,
        "packages": sorted(f"{name}=={number}" for name, number in packages.items()),
    }


class ServiceDescription(t.NamedTuple):
    """The service as the manifest contains it, its files, and the configuration files of its workers.

    `lacks_unit`: whether systemd must start it, but does not know its main unit or does not run.
    """

    described: Found
    files: list[Kept]
    worker_configuration: list[str]
    lacks_unit: bool = False


def describe_service(wanted: Surroundings, owner: int, host: Host | None = None) -> ServiceDescription:
    """Return the service. `owner`: the user who owns its data, if nothing else shows its user.

    Raises SynapseError if systemd does not answer.
    """
    host = host or Host()
    units: list[Found] = []
    files: list[Kept] = []
    configuration: list[str] = []
    workers: list[str] = []
    lacks_unit = wanted.manager == "systemd"
    if wanted.manager == "systemd" and os.path.isdir(host.systemd.running):
        running = running_instances(wanted.worker_unit, host.run, _TIMEOUT) if wanted.worker_unit else []
        enabled = _enabled_instances(host.systemd.units[0], wanted.worker_unit) if wanted.worker_unit else []
        names = [name for name in dict.fromkeys([wanted.unit, wanted.worker_unit, *running, *enabled]) if name]
        for name, shown in zip(names, show_units([example_of(name) for name in names], host.run, _TIMEOUT)):
            # Roles write drop-ins for a template of workers that does not exist yet.
            own = os.path.join(host.systemd.units[0], name)
            # A link is an alias, or a mask.
            files += [] if os.path.islink(own) else [Kept(own, "unit")]
            files += [Kept(path, "unit_drop_in") for path in sorted(glob.glob(f"{own}.d/*.conf"))]
            if name == wanted.unit:
                # A masked unit is there.
                lacks_unit = shown.text("LoadState") in ("", "not-found")
            if shown.text("LoadState") != "loaded":
                continue
            units.append(_unit(name, shown))
            files += _files_of(shown)
            started = [os.path.join(_directory(shown), path) for path in started_configuration(shown.command())]
            # That of an instance that was made up for a template does not exist, and is left out later.
            configuration += [*started, *_of_all_instances(started, name)]
            if name in enabled and all(os.path.exists(path) for path in started):
                workers.append(name)
        # Those that do not run only belong to a server that is stopped itself.
        is_active = any(unit["name"] == wanted.unit and unit["active"] for unit in units)
        workers = sorted({*running, *([] if is_active else workers)})
    files += [Kept(path, "environment") for path in wanted.environment_files]
    processes = _processes(wanted.config_path)
    # Workers that no unit of systemd starts.
    configuration += [path for process in processes for path in process.config_path]
    uid = _user(processes, units, owner)
    described = {
        "manager": wanted.manager,
        "unit": wanted.unit,
        "worker_unit": wanted.worker_unit,
        "workers": workers,
        "units": units,
        "daemons": [
            {"app": process.app, "config_path": [*process.config_path]}
            for process in processes
            if wanted.manager == "daemon" and process.daemonized and process.app != MAIN_APP
        ],
        "environment_files": [*wanted.environment_files],
        "config_path": [*wanted.config_path],
        **({} if wanted.working_directory is None else {"working_directory": wanted.working_directory}),
        **_account(uid),
    }
    others = [path for path in dict.fromkeys(configuration) if path not in wanted.config_path]
    return ServiceDescription(described, files, others, lacks_unit)


def working_directory_of(description: ServiceDescription) -> str | None:
    """Return the working directory of the main unit, if it is known."""
    units = description.described["units"]
    return units[0]["working_directory"] if units else None


def _kind(python: str) -> str:
    owner = run_command(["dpkg-query", "--search", python], _TIMEOUT) if os.path.exists("/usr/bin/dpkg-query") else None
    if owner is not None and owner.status == 0:
        return "package"
    above = os.path.dirname(os.path.dirname(python))
    return "virtualenv" if os.path.isfile(os.path.join(above, "pyvenv.cfg")) else "other"


def _enabled_instances(directory: str, template: str) -> list[str]:
    """Return the instances of a template that systemd starts with the host. `directory`: that of the host's units."""
    prefix, _sign, suffix = template.partition("@")
    name = f"{glob.escape(prefix)}@?*{glob.escape(suffix)}"
    paths = [path for end in _STARTED for path in glob.glob(f"{glob.escape(directory)}/*{end}/{name}")]
    return sorted({os.path.basename(path) for path in paths})


def _of_all_instances(started: t.Sequence[str], unit: str) -> list[str]:
    """Return the configuration files of all workers, whether they run or not, if the unit is their template.

    `started`: those of its example.
    """
    found: list[str] = []
    if example_of(unit) == unit:
        return found
    instance = example_of(unit).partition("@")[2].partition(".")[0]
    for path in started:
        directory, name = os.path.split(path)
        found += sorted(glob.glob(os.path.join(glob.escape(directory), glob.escape(name).replace(instance, "*"))))
    return found


def _unit(name: str, shown: Shown) -> Found:
    return {
        "name": name,
        "id": shown.text("Id"),
        "enabled": shown.text("UnitFileState") == "enabled",
        "active": shown.text("ActiveState") in ("active", "reloading"),
        "fragment_path": shown.text("FragmentPath"),
        "drop_in_paths": shown.words("DropInPaths"),
        "user": shown.text("User"),
        "working_directory": _directory(shown),
    }


def _directory(shown: Shown) -> str:
    # systemd writes ! before a directory that may be missing.
    found = shown.text("WorkingDirectory").lstrip("!")
    return found if found.startswith("/") else "/"


def _files_of(shown: Shown) -> t.Iterator[Kept]:
    """Yield the files that define a unit, without those that a package or systemd itself makes."""
    for path, kind in [
        (shown.text("FragmentPath"), "unit"),
        *((path, "unit_drop_in") for path in shown.words("DropInPaths")),
    ]:
        if path and (path.startswith(_OF_OPERATORS) or not path.startswith(_OF_PACKAGES)):
            yield Kept(path, kind)
    for pattern in shown.environment_files():
        for path in sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]:
            yield Kept(path, "environment")


def _processes(config_path: t.Sequence[str]) -> list[Process]:
    try:
        return find_processes(config_path).processes
    except (SynapseError, OSError):
        return []


def _user(processes: t.Sequence[Process], units: t.Sequence[Found], owner: int) -> int:
    """Return the user that Synapse runs as: that of its process, of its unit, or else the owner of its data."""
    for process in processes:
        with contextlib.suppress(SynapseError, OSError):
            return ProcessReader(process.pid).user_number()
    for unit in units:
        if unit["user"]:
            try:
                return int(unit["user"]) if unit["user"].isdecimal() else pwd.getpwnam(unit["user"]).pw_uid
            except KeyError:
                continue
    return owner


def _account(uid: int) -> Found:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return {"user": str(uid), "group": str(uid), "uid": uid, "gid": uid, "home": ""}
    return {
        "user": user.pw_name,
        "group": group_name(user.pw_gid),
        "uid": uid,
        "gid": user.pw_gid,
        "home": user.pw_dir,
    }
