# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The files that a process of Synapse was started with: its configuration, the files in it, and its package.

Relies on synapse/config of Synapse 1.163. Of the files that the configuration names, only those count that Synapse
reads once. It reads certificates again at a reload, and templates and media whenever they are needed.
"""

from __future__ import annotations

import dataclasses
import glob
import itertools
import os
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import (
    find_files,
    read_configuration,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import Settings
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.process import Unknown

CONFIGURATION, LOG_CONFIGURATION, SECRET, PACKAGE = "configuration", "log_configuration", "secret", "package"

# Synapse applies these at a reload. The sizes of the caches show whether it has.
_RELOADED = {"global_factor", "per_cache_factors"}
_SECRET_FILE = re.compile(r"(.+_)?(secret|token|password|passphrase|keys?)_path|key_file")
_READ_AGAIN = frozenset({"tls_private_key_path"})
# Code of third parties reads the values of these keys, at any time.
_FOREIGN = frozenset({"modules", "password_providers", "media_storage_providers", "spam_checker"})
# Where pip and Debian store the metadata of a package, below the directory of an interpreter.
_PACKAGES = (
    ("lib", "lib64", "local/lib"),
    ("python3*", "pypy3*"),
    ("site-packages", "dist-packages"),
    ("matrix_synapse-*.dist-info", "matrix_synapse-*.egg-info"),
)


@dataclasses.dataclass(frozen=True)
class Input:
    """A file by its absolute path, or with `suffix` a directory in which the files count whose names end with that.

    `required`: Synapse does not start without it. `reloaded`: it contains only settings that a reload applies.
    """

    path: str
    kind: str
    required: bool = True
    reloaded: bool = False
    suffix: str | None = None


def configuration_inputs(
    config_path: t.Sequence[str], *, worker: bool, directory: t.Callable[[], str] | None = None
) -> tuple[list[Input], list[Unknown]]:
    """Return the files that a process with `config_path`, absolute paths, has read, and what cannot be found out.

    `directory` returns the working directory at the start, for relative paths, or raises PermissionError. Without it
    relative paths are left out. Raises MissingLibrary without PyYAML.
    """
    inputs = [Input(path.rstrip("/"), CONFIGURATION, suffix=".yaml") for path in config_path if os.path.isdir(path)]
    try:
        configuration = read_configuration(config_path)
    except ConfigurationError as error:
        fix = "Run the task with become, as root, or correct the configuration."
        inputs += [Input(path, CONFIGURATION) for path in _files_without_content(config_path)]
        return inputs, [Unknown("outdated_by", error.message, fix)]
    inputs += [
        Input(file.path, CONFIGURATION, reloaded=_holds_factors_alone(file.settings)) for file in configuration.files
    ]
    unknown: list[Unknown] = []
    last_file = configuration.files[-1].path if configuration.files else ""
    for kind, name in _named_files(configuration.settings, last_file, worker):
        try:
            if os.path.isabs(name):
                inputs.append(Input(name, kind))
            elif directory:
                inputs.append(Input(os.path.join(directory(), name), kind))
        except PermissionError:
            reason = f"The configuration contains the relative path {name}, and this user is not allowed to see the"
            reason += " working directory of the process."
            unknown.append(Unknown("outdated_by", reason, "Run the task with become, as root."))
    return inputs, unknown


def package_inputs(interpreter: str) -> list[Input]:
    """Return the files that pip or a package manager writes when it installs Synapse for `interpreter`, a path.

    The list is empty if Synapse is not installed for it. The interpreter is not run, because the user who started the
    process chose its path.
    """
    for python in (interpreter, os.path.realpath(interpreter)):
        prefix = os.path.dirname(os.path.dirname(python))
        patterns = [os.path.join(glob.escape(prefix), *parts) for parts in itertools.product(*_PACKAGES)]
        found = {os.path.realpath(path): path for pattern in patterns for path in glob.glob(pattern)}
        if os.path.isabs(interpreter) and found:
            return [Input(_written_at_installation(path), PACKAGE) for path in sorted(found.values())]
    return []


def _files_without_content(config_path: t.Sequence[str]) -> list[str]:
    files: list[str] = []
    for path in config_path:
        try:
            files += find_files([path])
        except ConfigurationError:
            # A directory that cannot be listed is reported when its state is read.
            continue
    return files


def _holds_factors_alone(settings: Settings) -> bool:
    caches = settings.get("caches")
    return set(settings) == {"caches"} and isinstance(caches, dict) and set(caches) <= _RELOADED


def _named_files(settings: Settings, last_file: str, worker: bool) -> t.Iterator[tuple[str, str]]:
    log_configuration = settings.get("worker_log_config" if worker else "log_config")
    if isinstance(log_configuration, str) and log_configuration:
        yield LOG_CONFIGURATION, log_configuration
    services = settings.get("app_service_config_files")
    for service in services if isinstance(services, list) else []:
        if isinstance(service, str):
            yield CONFIGURATION, service
    if not settings.get("signing_key") and not settings.get("signing_key_path") and settings.get("server_name"):
        yield SECRET, os.path.join(os.path.dirname(last_file), f"{settings['server_name']}.signing.key")
    for path in _secret_files({key: value for key, value in settings.items() if key not in _FOREIGN}):
        yield SECRET, path


def _secret_files(value: t.Any) -> t.Iterator[str]:
    for inner in value if isinstance(value, list) else ():
        yield from _secret_files(inner)
    for key, inner in value.items() if isinstance(value, dict) else ():
        if isinstance(inner, (dict, list)):
            yield from _secret_files(inner)
        elif isinstance(inner, str) and inner and _SECRET_FILE.fullmatch(str(key)) and key not in _READ_AGAIN:
            yield inner


def _written_at_installation(information: str) -> str:
    names = (os.path.join(information, name) for name in ("RECORD", "METADATA", "PKG-INFO"))
    return next((name for name in names if os.path.exists(name)), information)
