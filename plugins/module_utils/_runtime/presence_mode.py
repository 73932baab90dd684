# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The mode of presence that a configuration sets, and by which file and key (synapse/config/server.py, 1.163).

`presence.enabled` is true, false or the text "untracked". If it is not set, the old top-level key `use_presence`
applies. A key `presence` in a later file replaces the whole mapping of an earlier file. Other texts mean true.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError

ENABLED, DISABLED, UNTRACKED = "enabled", "disabled", "untracked"
# How each mode is written as the value of presence.enabled.
VALUES = {ENABLED: "true", DISABLED: "false", UNTRACKED: '"untracked"'}
KEY, OLD_KEY, DEFAULT = "presence.enabled", "use_presence", "default"

# What Synapse takes for true although it is text, and what was meant.
_TRUE_TEXTS = ("true", "yes", "on", "y", "enable", "enabled")
_FALSE_TEXTS = ("false", "no", "off", "n", "none", "null", "0", "disable", "disabled")
_LONGEST = 40


def presence_settings(configuration: Configuration) -> dict[str, t.Any]:
    """Return the mode of presence that the configuration sets, as the return value `presence_settings`.

    `mode`: enabled, disabled or untracked. `key`: presence.enabled, use_presence or default. `path`: the file that sets
    it, left out for the default. `ignored`: what other files set without effect, each with `key`, `path` and `reason`.
    `problem`: a sentence, only if Synapse takes a text for true that does not mean it.

    Raises ConfigurationError if `presence` is not a mapping: Synapse cannot start with it.
    """
    settings = configuration.settings
    block, block_path = settings.get("presence") or {}, configuration.source_of("presence")
    if not isinstance(block, dict):
        raise ConfigurationError(
            f"{block_path} sets presence to a value that is not a mapping, so Synapse cannot start: write"
            " presence: {enabled: false} or presence: {enabled: true}."
        )
    value, path, key = block.get("enabled"), block_path, KEY
    if value is None and OLD_KEY in settings:
        value, path, key = settings[OLD_KEY], configuration.source_of(OLD_KEY), OLD_KEY
    elif value is None:
        value, path, key = True, None, DEFAULT
    found: dict[str, t.Any] = {"mode": _mode(value), "key": key}
    if path is not None:
        found["path"] = path
    found["ignored"] = [*_replaced_blocks(configuration), *_ignored_old_keys(configuration, key, path)]
    problem = _problem(value, key, path)
    return {**found, "problem": problem} if problem else found


def _mode(value: t.Any) -> str:
    if not value:
        return DISABLED
    return UNTRACKED if value == UNTRACKED else ENABLED


def _replaced_blocks(configuration: Configuration) -> t.Iterator[dict[str, str]]:
    setting = [file for file in configuration.files if "presence" in file.settings]
    for file in setting:
        block = file.settings["presence"]
        # The same file can be read twice.
        if isinstance(block, dict) and block.get("enabled") is not None and file.path != setting[-1].path:
            reason = f"The whole setting presence is replaced by {setting[-1].path}, which is read later."
            yield {"key": KEY, "path": file.path, "reason": reason}


def _ignored_old_keys(configuration: Configuration, key: str, path: str | None) -> t.Iterator[dict[str, str]]:
    setting = [file.path for file in configuration.files if OLD_KEY in file.settings]
    for each in dict.fromkeys(setting):
        if key == KEY:
            reason = f"Synapse uses {OLD_KEY} only if {KEY} is not set, but {path} sets it."
        elif each != setting[-1]:
            reason = f"It is replaced by {setting[-1]}, which is read later."
        else:
            continue
        yield {"key": OLD_KEY, "path": each, "reason": reason}


def _problem(value: t.Any, key: str, path: str | None) -> str | None:
    """Return a sentence if the value is a text that Synapse takes for true, although it does not mean that."""
    if not isinstance(value, str) or not value or value == UNTRACKED or value.lower() in _TRUE_TEXTS:
        return None
    shown = json.dumps(value if len(value) <= _LONGEST else f"{value[:_LONGEST]}...")
    fix = "write true or false without quotes"
    if value.lower() in _FALSE_TEXTS:
        fix = "write false without quotes"
    elif value.strip().lower() == UNTRACKED:
        fix = f"write {VALUES[UNTRACKED]}"
    return f"{path} sets {key} to the text {shown}, which Synapse takes for true: {fix}."
