# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print what Synapse's own code makes of settings, for each line of JSON on the standard input.

A line contains `yaml`, the text of a whole configuration, and `directory`, that of its signing key. The answer is a
mapping with these keys:

- `refused`: the words with which Synapse refuses the settings, or null.
- `values`: what it has made of them, by Synapse's own names such as server.presence_enabled. A value of another type
  than text, a number, a boolean or null is only said to be true or false.
- `read`: the keys that Synapse has asked each mapping for, by the path of the mapping with dots between the keys.
- `paths`: `args.database` of each database.

A line {"known": true} is answered with the top-level keys that Synapse's source reads: {"keys": ...}. A line
{"pool": ...} is answered with what twisted's pool of connections says to these arguments, and how many connections it
has at most: {"refused": ..., "most": ...}. A line {"listen": ...} is answered with what happens when Synapse listens on
this port of the loopback address, or on this path with this mode: {"refused": ..., "mode": ...}.
"""

from __future__ import annotations

import ast
import json
import logging
import os
import stat
import sys
import traceback
import typing as t
from pathlib import Path

import jsonschema
import synapse.config
import yaml
from synapse.config._base import Config
from synapse.config.homeserver import HomeServerConfig
from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory

# Synapse's names of the mapping with all settings.
_NAMES = ("config", "config_dict")
# Functions that are given that mapping, and the names of keys.
_READERS = ("parse", "_should_this_worker_perform_duty", "_worker_names_performing_this_duty")

logging.disable(logging.CRITICAL)


class _Asked(dict[str, t.Any]):
    """A mapping that remembers which keys it was asked for."""

    def __init__(self, values: dict[str, t.Any], where: str, asked: dict[str, set[str]]) -> None:
        super().__init__({key: _asked(value, f"{where}.{key}".lstrip("."), asked) for key, value in values.items()})
        self._keys = asked.setdefault(where, set())

    def get(self, key: str, default: t.Any = None) -> t.Any:
        self._keys.add(key)
        return super().get(key, default)


def _asked(value: t.Any, where: str, asked: dict[str, set[str]]) -> t.Any:
    return _Asked(value, where, asked) if isinstance(value, dict) else value


def _judge(text: str, directory: str) -> dict[str, t.Any]:
    config = HomeServerConfig()
    asked: dict[str, set[str]] = {}
    settings = _asked(yaml.load(text, yaml.CSafeLoader), "", asked)
    try:
        config.parse_config_dict(settings, config_dir_path=directory, data_dir_path=directory)
        if not config.database.databases:
            # What read_arguments raises without the option --database-path.
            raise ValueError("No database config provided")
        config.validate_config()
    except Exception as error:
        return {"refused": str(error) or type(error).__name__, "values": {}, "read": {}}
    arguments = [database.config.get("args") or {} for database in config.database.databases]
    return {
        "refused": None,
        "values": _values(config),
        "read": {where: sorted(keys) for where, keys in asked.items()},
        "paths": [each["database"] for each in arguments if "database" in each],
    }


def _values(config: HomeServerConfig) -> dict[str, t.Any]:
    found = {}
    for section in (kind.section for kind in config.config_classes):
        for name, value in vars(getattr(config, section)).items():
            is_simple = value is None or isinstance(value, (str, int, float))
            found[f"{section}.{name}"] = value if is_simple else bool(value)
    return found


def _keys() -> list[str]:
    found = set()
    for path in Path(synapse.config.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            found |= _read_by(node)
    return sorted(found)


def _read_by(node: ast.AST) -> set[str]:
    """Return the keys that this expression reads from the mapping with all settings."""
    if isinstance(node, ast.Subscript):
        return _texts([node.slice]) if _is_config(node.value) else set()
    if isinstance(node, ast.Compare):
        return _texts([node.left]) if any(_is_config(other) for other in node.comparators) else set()
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return set()
    if node.func.attr in ("get", "pop", "setdefault"):
        return _texts(node.args[:1]) if _is_config(node.func.value) else set()
    if node.func.attr in _READERS and any(_is_config(argument) for argument in node.args):
        given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg != "legacy_worker_app_name")]
        return {text.partition(".")[0] for text in _texts(given) if not text.startswith("synapse.")}
    return set()


def _is_config(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in _NAMES


def _texts(nodes: t.Iterable[ast.AST]) -> set[str]:
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _pool(arguments: dict[str, t.Any]) -> dict[str, t.Any]:
    try:
        pool = ConnectionPool("sqlite3", **arguments)
    except Exception as error:
        return {"refused": str(error) or type(error).__name__}
    return {"refused": None, "most": pool.threadpool.max}


def _listen(address: dict[str, t.Any]) -> dict[str, t.Any]:
    from synapse.app._base import listen_tcp, listen_unix

    path = address.get("path")
    try:
        if path is None:
            opened = listen_tcp(["127.0.0.1"], address["port"], Factory())
        else:
            opened = listen_unix(path, address["mode"], Factory())
        mode = path and stat.S_IMODE(os.stat(path).st_mode)
        for port in opened:
            port.stopListening()
    except CannotListenError:
        # Another program has the port.
        return {"refused": None}
    except Exception as error:
        return {"refused": str(error)}
    return {"refused": None, "mode": mode}


def _answer(question: dict[str, t.Any]) -> dict[str, t.Any]:
    if "known" in question:
        return {"keys": _keys()}
    if "pool" in question:
        return _pool(question["pool"])
    if "listen" in question:
        return _listen(question["listen"])
    return _judge(question["yaml"], question["directory"])


def _be_quick() -> None:
    """Read each template once, and do not check Synapse's own schemas again: both have nothing to do with settings."""
    read, known = Config.read_templates, {}

    def read_templates(self: Config, names: list[str], directories: t.Iterable[str] | None = None) -> t.Any:
        key = (*names, "", *(given := list(directories or [])))
        if key not in known:
            known[key] = read(self, names, given)
        return known[key]

    Config.read_templates = read_templates
    for validator in (jsonschema.Draft4Validator, jsonschema.validators.validator_for({})):
        validator.check_schema = lambda *_arguments, **_options: None


_be_quick()
printed, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    try:
        answer = _answer(json.loads(line))
    except Exception:
        answer = {"error": traceback.format_exc()}
    print(json.dumps(answer), file=printed, flush=True)
