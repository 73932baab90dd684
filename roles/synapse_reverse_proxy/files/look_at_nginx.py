# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at the nginx of a host, and at what the role would make of it. Nothing is changed.

Prints as JSON: `packages`, those that are missing; `content` of the file `config_path` with the addresses of this
host, and `present_content`, the one that it has now, or null; `makes_certificate`; `has_certificate`; `active`,
`enabled`; `outdated`, why nginx must read its files again; `synapse_config_path`, the configuration of a Synapse on
this host; and `wrong`, sentences.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import time
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.check_backend import backend_faults
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.check_certificate import (
    certificate_faults,
)
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.check_values import value_faults
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.host_of_nginx import (
    Nginx,
    is_foreign,
    read,
)
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.listening_sockets import (
    addresses_of,
    listening,
    ports_of,
    taken_ports,
)
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.make_certificate import is_usable
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.try_configuration import refusals

# How a line of the template says where nginx listens.
LISTEN = re.compile(r"(?m)^( *)@listen (https|http)@\n")


def complete(question: dict[str, t.Any], nginx: Nginx) -> str:
    """Return the content of the file, with the addresses of this host in the form of this version of nginx."""
    has_directive = nginx.version >= (1, 25, 1)

    def lines(found: re.Match[str]) -> str:
        is_https = found.group(2) == "https"
        option = " ssl" + (" http2" if nginx.has_http2 and not has_directive else "") if is_https else ""
        places = [
            f"listen {f'[{address}]' if ':' in address else address}:{port}{option};"
            for port in question["ports"][found.group(2)]
            for address in addresses_of(question)
        ]
        places += ["http2 on;"] if is_https and nginx.has_http2 and has_directive else []
        return "".join(f"{found.group(1)}{place}\n" for place in places)

    return LISTEN.sub(lines, question["template"])


def unsafe_way(path: str) -> list[str]:
    """Return in which directory of a path others than root can write, as a sentence."""
    directory = os.path.realpath(os.path.dirname(path))
    while True:
        try:
            status = os.stat(directory)
            if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return [
                    f"{directory} is not a safe place for {path}, because others than root can write there. Set "
                    "synapse_reverse_proxy_config_path to another path."
                ]
        except FileNotFoundError:
            pass
        if directory == "/":
            return []
        directory = os.path.dirname(directory)


def owner_faults(path: str) -> list[str]:
    """Return that somebody else than root has a file, as a sentence."""
    try:
        status = os.lstat(path)
    except OSError:
        return []
    if status.st_uid == os.geteuid():
        return []
    return [f"{path} belongs to the user with the number {status.st_uid}, who could change it. Run chown root {path}."]


def service_faults(nginx: Nginx, is_present: bool) -> list[str]:
    """Return why systemd would not start or reload nginx, as a sentence."""
    if not is_present and not nginx.active:
        return []
    if nginx.load_state == "masked":
        return [
            "nginx.service is masked on this host, so systemd neither starts nor reloads nginx. Run systemctl unmask "
            "nginx.service first."
        ]
    if nginx.path and nginx.load_state != "loaded":
        return [
            f"systemd cannot use nginx.service (its state is {nginx.load_state or 'unknown'}), though this host has "
            f"{nginx.path}. systemctl status nginx.service shows the reason."
        ]
    return []


def links_to(path: str) -> list[str]:
    """Return the symbolic links on the way to a file, as paths."""
    links: list[str] = []
    done, left = "/", [part for part in path.split("/") if part]
    # The kernel follows no more than 40 either.
    while left and len(links) < 40:
        part = left.pop(0)
        one = os.path.normpath(os.path.join(done, part))
        if os.path.islink(one):
            links.append(one)
            target = os.readlink(one)
            done = "/" if target.startswith("/") else done
            left = [step for step in target.split("/") if step] + left
        else:
            done = one
    return links


def newest_change(paths: list[str]) -> float:
    """Return when one of these files, or a link on the way to it, was changed last, as a Unix time."""
    changed = [os.stat(path).st_ctime for path in paths if os.path.exists(path)]
    changed += [os.lstat(link).st_ctime for path in paths for link in links_to(path)]
    # A clock that was wrong at that time would make a file newer than all processes.
    return max([moment for moment in changed if moment <= time.time() + 1] or [0.0])


def declared_faults(question: dict[str, t.Any]) -> list[str]:
    """Return what is wrong with the certificate of the user, as sentences."""
    return [] if question["self_signed"] else certificate_faults(*declared_files(question), question["names"])


def declared_files(question: dict[str, t.Any]) -> tuple[str, str]:
    """Return the paths of the certificate of the user and of its key."""
    values = question["values"]
    return values["synapse_reverse_proxy_certificate_path"], values["synapse_reverse_proxy_private_key_path"]


def used_files(question: dict[str, t.Any]) -> list[str]:
    """Return the files that nginx reads for this role; without any, the directory from which a file was removed."""
    if question["state"] == "absent":
        return [os.path.dirname(question["config_path"])]
    if question["self_signed"]:
        return [question["config_path"], question["self_signed_path"]]
    return [question["config_path"], *declared_files(question)]


def still_listens(question: dict[str, t.Any]) -> bool:
    """Return whether the ports of the role are in use, if it has to be removed.

    Without that, what changed in the directory of the configuration is of somebody else.
    """
    return question["state"] == "present" or ports_of(question) <= {port for _address, port, _inode in listening()}


def look(question: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the answer; raises `OSError` if there can be none."""
    if os.geteuid() != 0:
        raise OSError("The role changes nginx, so it needs root: set become to true.")
    nginx = Nginx()
    is_present = question["state"] == "present"
    content = complete(question, nginx) if is_present else ""
    present_content = read(question["config_path"])
    own = read(question["self_signed_path"])
    has_openssl = bool(shutil.which("openssl"))
    wants = is_present and question["self_signed"]
    makes = wants and not (has_openssl and is_usable(question["self_signed_path"], question["names"]))
    packages = ["nginx"] * (is_present and not nginx.path) + ["openssl"] * (makes and not has_openssl)
    wrong = [
        f"{path} was not written by this collection, so it is not replaced or removed. Remove it first, or set "
        "synapse_reverse_proxy_config_path to another path."
        for path, text, is_needed in (
            (question["config_path"], present_content, True),
            (question["self_signed_path"], own, wants),
        )
        if is_needed and is_foreign(text)
    ]
    wrong += service_faults(nginx, is_present)
    if is_present:
        wrong += value_faults(question) + declared_faults(question) + unsafe_way(question["config_path"])
        wrong += owner_faults(question["config_path"]) + owner_faults(question["self_signed_path"])
        # Without addresses there is nothing to look for.
        wrong = wrong or taken_ports(question) + backend_faults(question)
        if packages and not question["installs"]:
            wrong.append(
                f"{' and '.join(packages)} is not installed on this host. Install it, or set "
                "synapse_reverse_proxy_install to true."
            )
    changes = present_content is not None
    started = nginx.started() if nginx.active else 0.0
    is_outdated = nginx.active and started <= newest_change(used_files(question)) and still_listens(question)
    if not wrong and nginx.path and not packages and (is_present or changes or is_outdated):
        wrong = refusals(question, nginx, content, makes)
    return {
        "packages": packages,
        "content": content,
        "present_content": present_content,
        "makes_certificate": makes,
        "has_certificate": own is not None and not is_foreign(own),
        "active": nginx.active,
        "enabled": nginx.enabled,
        "outdated": f"{used_files(question)[0]} or a file of the certificate was changed after nginx had read it."
        if is_outdated
        else "",
        "synapse_config_path": [path for path in question["synapse_config_path"] if os.path.exists(path)]
        if os.path.isfile(question["synapse_python"])
        else [],
        "wrong": wrong,
    }


def main(question: dict[str, t.Any]) -> None:
    """Print the answer to the question."""
    print(json.dumps(look(question)))
