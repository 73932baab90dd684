# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let nginx test a configuration that is not written yet."""

from __future__ import annotations

import glob
import os
import re
import tempfile
import typing as t

from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.host_of_nginx import (
    Nginx,
    read,
    reasons,
    run,
)
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.make_certificate import make_certificate
from ansible_collections.matrix_ops.synapse.roles.synapse_reverse_proxy.files.other_servers import (
    conflicts,
    hidden_addresses,
)

INCLUDE = re.compile(r"(?m)^([^#\n]*?)\binclude[ \t]+([^;{}#\n]+);")


class Trial:
    """A copy of nginx's main file, in which one file of the configuration is another one, or none.

    nginx takes relative paths from the directory of its main file, so all else of that directory is linked beside it.
    """

    def __init__(self, nginx: Nginx, config_path: str, directory: str) -> None:
        self.nginx, self.config_path, self.directory = nginx, config_path, directory
        self.home = os.path.dirname(nginx.main_file)
        self.site = os.path.join(directory, ".site", os.path.basename(config_path))
        self.is_included = False
        os.mkdir(os.path.dirname(self.site))
        for name in os.listdir(self.home):
            if os.path.join(self.home, name) != nginx.main_file:
                os.symlink(os.path.join(self.home, name), os.path.join(directory, name))

    def test(self, content: str | None) -> tuple[str, str, str]:
        """Return why nginx would refuse this content (or nothing), its warnings, and all of the configuration."""
        if content is not None:
            with open(self.site, "w", encoding="utf-8") as file:
                file.write(content)

        def replaced(found: re.Match[str]) -> str:
            pattern = os.path.join(self.home, found.group(2).strip().strip("\"'"))
            if not matches(self.config_path, pattern):
                return found.group(0)
            self.is_included = True
            others = set(glob.glob(pattern)) - {self.config_path}
            files = others | ({self.config_path} if content is not None else set())
            lines = [f'include "{self.site if path == self.config_path else path}";' for path in sorted(files)]
            return found.group(1) + " ".join(lines)

        text = INCLUDE.sub(replaced, read(self.nginx.main_file) or "")
        # Otherwise nginx would create the file of the service, even for a test.
        text = re.sub(r"(?m)^[ \t]*pid[ \t][^;\n]*;", "", text)
        main = os.path.join(self.directory, os.path.basename(self.nginx.main_file))
        with open(main, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        command = [self.nginx.path, "-T", "-c", main]
        done = run([*command, "-g", f"pid {self.directory}/.pid;"])
        if '"pid" directive is duplicate' in done.stderr:
            done = run(command)
        return "" if done.returncode == 0 else self.told(done.stderr), self.told(done.stderr), self.told(done.stdout)

    def told(self, text: str) -> str:
        """Return what nginx says, with the paths that the files have outside of the trial."""
        text = text.replace(self.site, self.config_path).replace(self.directory, self.home)
        return re.sub(r"nginx: configuration file \S+ test (failed|is successful)\n?", "", text).strip()


def matches(path: str, pattern: str) -> bool:
    """Return whether a pattern of nginx matches a path: no part of it matches a slash or a leading dot."""
    parts, patterns = path.split("/"), os.path.normpath(pattern).split("/")
    if len(parts) != len(patterns):
        return False
    return all(
        bool(re.fullmatch(translated(one), part)) and part.startswith(".") <= one.startswith(".")
        for part, one in zip(parts, patterns)
    )


def translated(pattern: str) -> str:
    """Return the part of a pattern between slashes as a regular expression."""
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.sub(r"\\\[(!?)((?:\\?.)+?)\\\]", lambda found: f"[{'^' if found[1] else ''}{found[2]}]", text)


def refusals(question: dict[str, t.Any], nginx: Nginx, content: str, makes_certificate: bool) -> list[str]:
    """Return what nginx says against the configuration as it would be, as sentences."""
    is_present = question["state"] == "present"
    with tempfile.TemporaryDirectory() as directory:
        trial = Trial(nginx, question["config_path"], directory)
        if is_present and makes_certificate:
            certificate = os.path.join(directory, ".site", "certificate.pem")
            make_certificate(question["names"], certificate)
            content = content.replace(question["self_signed_path"], certificate)
        refused, warnings, dump = trial.test(content if is_present else None)
        if is_present and not trial.is_included:
            return [
                f"nginx would not read {question['config_path']}: no include of {nginx.main_file} matches it. Set "
                "synapse_reverse_proxy_config_path to a path that nginx reads."
            ]
        if not refused:
            return conflicts(question, warnings, dump) + hidden_addresses(question, dump) if is_present else []
        others = trial.test(None)[0] if is_present else refused
    if others:
        return [
            "nginx refuses its configuration also without the file of this role, so correct that first: "
            + reasons(others)
        ]
    named = [name for name, value in question["values"].items() if value and value in refused]
    names = f" The variable of this value is {' or '.join(named)}." if named else ""
    return [f"nginx refuses the configuration, so it was not written: {reasons(refused)}.{names}"]
