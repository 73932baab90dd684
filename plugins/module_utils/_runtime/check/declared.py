# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is declared of the running processes, and the words for it in messages."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._address import Address
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import InvalidInput
from ansible_collections.matrix_ops.synapse.plugins.module_utils._runtime.wanted import Wanted

Mapping = t.Mapping[str, t.Any]

_LEAST = {"open_files": 1, "wait_timeout": 0, "workers": 0, "in_flight_requests": 0, "pending_background_updates": 0}


@dataclasses.dataclass(frozen=True)
class Declared:
    """The options of synapse_runtime_check. Each one that is not set, or false, declares nothing."""

    config_path: tuple[str, ...] = ()
    base_url: str = ""
    unix_socket: str | None = None
    open_files: int | None = None
    jemalloc: bool = False
    jemalloc_library: str | None = None
    cache_factor: float | None = None
    caches: bool = False
    cache_autotuning: bool = False
    require_cache_proof: bool = False
    report_caches: bool = False
    version: str | None = None
    server_name: str | None = None
    answers: bool = False
    user: str | None = None
    fresh: bool = False
    writable_paths: tuple[str, ...] = ()
    configured_paths: bool = False
    working_directory: str | None = None
    synapse_python: str = ""
    unit: str = ""
    log_path: str | None = None
    wait_timeout: float = 0
    presence: str | None = None
    require_presence_proof: bool = False
    report_presence: bool = False
    access_token_path: str | None = None
    workers: int | None = None
    worker_unit: str = ""
    in_flight_requests: int | None = None
    pending_background_updates: int | None = None
    option_names: Mapping = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, parameters: Mapping) -> Declared:
        """Return the options among the parameters of a module. Raises InvalidInput for values that cannot be meant."""
        if not parameters["config_path"]:
            raise InvalidInput(
                "config_path is empty. Set it to the files and directories that Synapse is started with."
            )
        for option, least in _LEAST.items():
            if parameters[option] is not None and parameters[option] < least:
                raise InvalidInput(f"{option} is {parameters[option]}. Set it to {least} or more.")
        if parameters["require_presence_proof"] and not parameters["presence"]:
            raise InvalidInput("require_presence_proof is true, but presence is not set. Set it to a mode of presence.")
        given = {field.name: parameters[field.name] for field in dataclasses.fields(cls)}
        tuples = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
        return cls(**{**given, **tuples, "option_names": given["option_names"] or {}})

    @property
    def reads_caches(self) -> bool:
        """Whether the sizes of the caches are needed."""
        return self.judges_caches or self.report_caches

    @property
    def judges_caches(self) -> bool:
        """Whether something is declared of the caches."""
        return self.caches or self.cache_factor is not None or self.require_cache_proof

    @property
    def judges_processes(self) -> bool:
        """Whether something is declared of each process, so that all of them must be seen."""
        return (
            self.fresh
            or bool(self.user)
            or self.open_files is not None
            or self.needs_jemalloc
            or self.cache_autotuning
            or self.judges_caches
            or self.reads_presence
            or self.workers is not None
            or self.in_flight_requests is not None
        )

    @property
    def reads_presence(self) -> bool:
        """Whether the configured mode of presence of each process is needed."""
        return self.presence is not None

    @property
    def wanted(self) -> Wanted:
        """What to read of each process."""
        return Wanted(
            caches=self.reads_caches,
            # A process uses the mode of presence that was configured when it was started.
            freshness=self.fresh or self.reads_presence,
            activity=self.reads_presence or self.in_flight_requests is not None,
            presence=self.reads_presence or self.report_presence,
        )

    @property
    def reads_server(self) -> bool:
        """Whether the server that answers is needed."""
        return self.answers or bool(self.version or self.server_name)

    @property
    def needs_jemalloc(self) -> bool:
        """Whether each process must have loaded jemalloc for itself, and not only for the autotuning of the caches."""
        return self.jemalloc or bool(self.jemalloc_library)

    def designation(self, server: str) -> str:
        """Return the option and its right value for a server, as Address.leading_to, with the name that it has here."""
        option = self.address.option
        return self.address.leading_to(server).replace(option, self.called(option), 1)

    @property
    def address(self) -> Address:
        """Where the server is asked, for messages."""
        return Address(self.base_url, self.unix_socket or "")

    def called(self, option: str) -> str:
        """Return the name of an option in messages."""
        return str(self.option_names.get(option, option))

    @property
    def log_hint(self) -> str:
        """Where the log is, as the beginning of a sentence."""
        places = [self.log_path] if self.log_path else []
        places += [f"journalctl --unit {self.unit}"] if self.unit else []
        return f"See {' and '.join(places) or 'the log of Synapse'}"

    def restart(self, process: Mapping) -> str:
        """Return what to restart so that a process is started again: its unit, or the process."""
        if self.unit and not process.get("unit"):
            # Both would use the same ports and the same database.
            return f"process {process['pid']} (it does not run in {self.unit}, so end it before that unit is started)"
        return str(process.get("unit") or "it")


def named(process: Mapping) -> str:
    """Return the name of a process in proofs."""
    return str(process.get("name", "worker"))


def identified(process: Mapping) -> str:
    """Return the words that identify a process in failures."""
    return f"{named(process)} (process {process['pid']})"


def names_of(processes: t.Iterable[Mapping]) -> str:
    """Return the names of processes, as a list in a sentence."""
    return ", ".join(named(process) for process in processes)


def unknown_of(unknown: t.Iterable[Mapping], names: t.Collection[str]) -> str:
    """Return the reasons and the fixes, as sentences, of the values with these names that could not be found out."""
    found = [one for one in unknown if one["name"] in names]
    return " ".join(dict.fromkeys([*(one["reason"] for one in found), *(one["fix"] for one in found)]))
