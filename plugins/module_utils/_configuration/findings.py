# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""What is wrong with a configuration of Synapse 1.163, as far as this collection itself knows, without Synapse.

A setting that is not known here is not judged: a fork or a newer version may read it. Nothing is said about modules and
their settings.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration import replaced_block
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.block_faults import find_block_faults
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.ignored_files import find_ignored
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.known_keys import (
    BLOCK_KEYS,
    DATABASE_KEYS,
    FORMER_KEYS,
    is_known,
    nearest_key,
    right_place,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.replaced_block import Replacement
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.secret_text import find_unquoted
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.setting_conflicts import find_conflicts
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.setting_kinds import shown
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.setting_types import TYPES
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.settings import (
    HIDDEN,
    KeyPath,
    Settings,
    leaves,
    masked,
    meet,
    scalars,
)
from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.verdict import hide

# Synapse's own parser refuses it, so that Synapse does not start.
REFUSED = "refused"
# The parser accepts it, but Synapse takes it for something else, or it fails later: when it starts or when it uses it.
MISREAD = "misread"
# A secret that is no text for YAML, and does harm.
SECRET = "secret"
# A key that Synapse does not have.
UNKNOWN = "unknown"
# A later file replaces the whole block of an earlier one, and settings of that are lost.
REPLACED = "replaced"
# One file has the same key more than once, and only the last one counts.
REPEATED = "repeated"
# Synapse does not read the file.
IGNORED = "ignored"
KINDS = (REFUSED, MISREAD, SECRET, UNKNOWN, REPLACED, REPEATED, IGNORED)

# The lists to which files are meant to add. A later file that replaces another list is mostly meant to.
_COLLECTED = ("app_service_config_files", "listeners", "media_storage_providers", "modules", "oidc_providers")

_PLAIN = re.compile(r"[\w.\-/@:]+")


class Fault(t.NamedTuple):
    """One fault. `key`: the setting, () for a file that is ignored. `file`: the file whose value is in force.

    `kind`: one of KINDS. `message`: whole sentences with the file, the setting and what to do. It never has the value
    of a secret. `ends_start`: Synapse ends with it when it starts, although its parser may accept it.
    """

    key: KeyPath
    file: str
    kind: str
    message: str
    ends_start: bool = False

    @property
    def is_refused(self) -> bool:
        """Whether Synapse does not start with it."""
        return self.kind == REFUSED or self.ends_start

    def hiding(self, secrets: t.Iterable[str], settings: Settings, secret_paths: t.Collection[KeyPath]) -> str:
        """Return the message without `secrets`, and without the values of `settings` that were declared as secrets.

        That can be any value, such as a short one or a number, of which the message has another form.
        """
        declared = (value for path, value in leaves(settings).items() if path in secret_paths and meet(path, self.key))
        if self.kind in (REFUSED, MISREAD) and any(shown(each) in self.message for each in scalars(list(declared))):
            harm = "does not start with" if self.kind == REFUSED else "does not take as it is meant"
            return (
                f"{'.'.join(self.key)} in {self.file} has a value that Synapse {harm}. It is not shown, because it is"
                " declared as a secret: check its type and form."
            )
        return hide(self.message, secrets)


# Whether a task or a variable declares the setting of this file and key.
Declares = t.Callable[[str, KeyPath], bool]


def find_faults(configuration: Configuration, declares: Declares = lambda _file, _key: False) -> list[Fault]:
    """Return the faults of the settings in force, in the order of their files and kinds.

    `declares` decides whether a message says how to correct the declaration or the file.
    """
    found = [
        *_wrong_types(configuration, declares),
        *_wrong_blocks(configuration, declares),
        *_unquoted_secrets(configuration, declares),
        *_unknown_keys(configuration),
        *_replaced_blocks(configuration),
        *_repeated_keys(configuration),
        *_files_without_settings(configuration),
    ]
    order = {file.path: number for number, file in enumerate(configuration.files)}
    # A secret that Synapse refuses, or a database that does not fit, is one fault.
    unique = {(fault.key, fault.file, fault.message): fault for fault in found}
    return sorted(unique.values(), key=lambda fault: (order.get(fault.file, 0), KINDS.index(fault.kind), fault.key))


def without_repetition(faults: t.Sequence[Fault]) -> list[Fault]:
    """Return the faults whose message is not a part of another one, such as that of a block that lacks something."""
    texts = {fault.message for fault in faults}
    return [fault for fault in faults if not any(fault.message in text for text in texts - {fault.message})]


def find_replacements(configuration: Configuration) -> list[Replacement]:
    """Return the blocks of which a later file removes settings. Of the lists, only those to which files are to add."""
    files = [(file.path, file.settings) for file in configuration.files]
    found: list[Replacement] = []
    for key in configuration.settings:
        if key in _COLLECTED or not _is_list(files, key):
            found.extend(replaced_block.find_replacements(files, key))
    return found


def find_ignored_files(config_path: t.Sequence[str]) -> list[Fault]:
    """Return the files that look as if they belong to the configuration, but that Synapse does not read.

    These are files beside those that it reads, such as `*.yml`. A path that cannot be listed is left out.
    """
    return [Fault((), path, IGNORED, message) for path, message in find_ignored(config_path)]


def _wrong_types(configuration: Configuration, declares: Declares) -> t.Iterator[Fault]:
    settings = configuration.settings
    has_media = settings.get("enable_media_repo", True) is not False
    for path, kind in TYPES.items():
        if kind.is_media and not has_media:
            continue
        for key, value in _values(settings, path, ()):
            judgement = kind.judge(value)
            if judgement:
                file, is_hidden = _source(configuration, key), _is_secret(key, value)
                words = HIDDEN if is_hidden else shown(value)
                message = f"{'.'.join(key)} in {file} is {words}{judgement.says}"
                message += _for_template(judgement.template, declares(file, key))
                yield Fault(key, file, REFUSED if judgement.is_refused else MISREAD, message, judgement.ends_start)


def _wrong_blocks(configuration: Configuration, declares: Declares) -> t.Iterator[Fault]:
    settings = configuration.settings
    for fault in (*find_conflicts(settings), *find_block_faults(settings)):
        file = _source(configuration, fault.key)
        message = f"{_named(configuration, fault.key, fault.other)} {fault.says}"
        message += _for_template(fault.template, declares(file, fault.key))
        if fault.is_lacking:
            message = f"{message} {configuration.replacement(fault.key[0])}".rstrip()
        yield Fault(fault.key, file, REFUSED if fault.is_refused else MISREAD, message, fault.ends_start)


def _unquoted_secrets(configuration: Configuration, declares: Declares) -> t.Iterator[Fault]:
    for unquoted in find_unquoted(configuration.settings):
        file = _source(configuration, unquoted.key)
        message = unquoted.sentence(file, is_declared=declares(file, unquoted.key))
        yield Fault(unquoted.key, file, SECRET, message, unquoted.is_refused)


def _unknown_keys(configuration: Configuration) -> t.Iterator[Fault]:
    settings = configuration.settings
    for key in settings:
        name = str(key)
        if is_known(name):
            continue
        file = _source(configuration, (key,))
        if name in FORMER_KEYS:
            says = f"is a setting of earlier versions of Synapse, which ignores it now: {FORMER_KEYS[name]}."
        else:
            says = "is not a setting of Synapse 1.163, which ignores it"
            says += _meant((), name, nearest_key(name)) or ": check it, unless a module or another program reads it."
        yield Fault((name,), file, UNKNOWN, f"{_shown_key((name,))} in {file} {says}")
    for block, known in (*BLOCK_KEYS.items(), *DATABASE_KEYS.items()):
        for where, value in _values(settings, block, ()):
            for name in map(str, value if isinstance(value, dict) else ()):
                meant = "" if name in known else _meant(where, name, nearest_key(name, known))
                if meant:
                    file, dotted = _source(configuration, where), _shown_key((*where, name))
                    says = f"is not a setting of Synapse 1.163, which ignores it{meant}"
                    yield Fault((*where, name), file, UNKNOWN, f"{dotted} in {file} {says}")


def _meant(where: KeyPath, name: str, near: str | None) -> str:
    """Return the end of the sentence about an unknown key, or "" if nothing is known about it."""
    place = None if near and near == name.strip() else right_place(where, name)
    if place and len(place) == 1:
        return f": is the top-level key {name} meant?"
    if place:
        return f": is {_written(place)} meant?"
    return f": is {near} meant?" if near else ""


def _replaced_blocks(configuration: Configuration) -> t.Iterator[Fault]:
    for replaced in find_replacements(configuration):
        yield Fault((replaced.key,), replaced.later, REPLACED, replaced.sentence())


def _repeated_keys(configuration: Configuration) -> t.Iterator[Fault]:
    """Yield the keys that one file has more than once, unless a later file replaces them all."""
    for file in configuration.files:
        for key, lines in file.repeated:
            if _source(configuration, key) == file.path:
                count = "twice" if len(lines) == 2 else f"{len(lines)} times"
                says = (
                    f"is there {count}, first in line {lines[0]} and last in line {lines[-1]}, and Synapse only reads"
                    " the last one: put everything into one of them, and remove the rest."
                )
                yield Fault(key, file.path, REPEATED, f"{_shown_key(key)} in {file.path} {says}")


def _files_without_settings(configuration: Configuration) -> t.Iterator[Fault]:
    for file in configuration.files:
        if file.instead:
            message = (
                f"Synapse ignores the whole content of {file.path}, because it is {file.instead} for YAML and not a"
                " mapping: write each setting as its name, a colon, a space and its value, or remove the file."
            )
            yield Fault((), file.path, IGNORED, message)


def _values(value: t.Any, path: KeyPath, where: KeyPath) -> t.Iterator[tuple[KeyPath, t.Any]]:
    if not path:
        yield where, value
    elif isinstance(value, dict):
        for key in value if path[0] == "*" else (path[0],):
            if key in value:
                yield from _values(value[key], path[1:], (*where, str(key)))


def _is_list(files: t.Iterable[tuple[str, Settings]], key: str) -> bool:
    return any(isinstance(settings.get(key), list) for _path, settings in files)


def _source(configuration: Configuration, key: KeyPath) -> str:
    return configuration.source_of(key[0]) or ""


def _named(configuration: Configuration, key: KeyPath, other: str) -> str:
    named = f"{'.'.join(key)} in {_source(configuration, key)}"
    return f"{named} and {other} in {_source(configuration, (other,))}" if other else named


def _for_template(template: str, is_declared: bool) -> str:
    return f" If an expression gives the value, add the filter {template}." if template and is_declared else ""


def _shown_key(key: KeyPath) -> str:
    """Return a key as a message shows it: in quotes if it has a space or another character that is easily missed."""
    dotted = ".".join(key)
    return dotted if _PLAIN.fullmatch(dotted) else json.dumps(dotted)


def _written(place: KeyPath) -> str:
    """Return how a setting in a block is written: `caches: {global_factor: ...}`, for example."""
    inside = "..."
    for name in reversed(place):
        inside = f"{name}: {inside}" if inside == "..." else f"{name}: {{{inside}}}"
    return inside


def _is_secret(key: KeyPath, value: t.Any) -> bool:
    hidden: t.Any = _nested(key, value)
    hidden = masked(hidden)
    for name in key:
        hidden = hidden[name]
    return bool(hidden == HIDDEN)


def _nested(key: KeyPath, value: t.Any) -> Settings:
    return {key[0]: _nested(key[1:], value) if len(key) > 1 else value}
