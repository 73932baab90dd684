# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at the nginx of a host, test a configuration that is not written yet, and let nginx apply one.

The question is one argument, as JSON, and `do` in it says what to do:

- `look` changes nothing, and prints as JSON: `packages`, those that are missing; `content` of the file `config_path`
  with the addresses of this host, and `present_content`, the one that it has now, or null; `makes_certificate`;
  `has_certificate`; `active`, `enabled`; `outdated`, why nginx must read its files again; `synapse_config_path`, the
  configuration of a Synapse on this host; and `wrong`, sentences.
- `certificate` makes the certificate of its own, with its key in the same file.
- `apply` lets nginx test its files, reads them with a reload or a start, and waits until it uses them.

If something fails, prints one sentence to standard error and ends with status 1.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
import typing as t

MARK = "matrix_ops.synapse"
# In seconds, for each process, and for new processes of nginx.
TIME_LIMIT = 60
RELOAD_LIMIT = 15
# Thirty days, in seconds: a certificate that ends sooner is replaced.
LEAST_VALIDITY = 30 * 86400
VALID_DAYS = "365"
# How a line of the template says where nginx listens.
LISTEN = re.compile(r"(?m)^( *)@listen (https|http)@\n")
INCLUDE = re.compile(r"(?m)^([^#\n]*?)\binclude[ \t]+([^;{}#\n]+);")
CONFLICT = re.compile(r'conflicting server name "([^"]*)" on (\S+), ignored')


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Return how a command ended and what it printed; raises `OSError` or `subprocess.TimeoutExpired`."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={**os.environ, "LC_ALL": "C"},
        timeout=TIME_LIMIT,
        check=False,
        encoding="utf-8",
        errors="replace",
    )


def words(text: str) -> str:
    """Return text as one line."""
    return " ".join(text.split())


def read(path: str) -> str | None:
    """Return the text of a file, or None if there is none; raises `OSError` if it cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(f"{path} is not a file")
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_foreign(content: str | None) -> bool:
    """Return whether a file has a content that this collection has not written."""
    return bool(content) and MARK not in str(content).split("\n", 1)[0]


class Nginx:
    """The program nginx of this host, and its service."""

    def __init__(self) -> None:
        self.path = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin") or ""
        built = run([self.path, "-V"]).stderr if self.path else ""
        version = re.search(r"/([0-9]+)[.]([0-9]+)[.]([0-9]+)", built)
        self.version = tuple(int(part) for part in version.groups()) if version else (1, 26, 0)
        self.has_http2 = not built or "--with-http_v2_module" in built
        main_file = re.search(r"--conf-path=(\S+)", built)
        self.main_file = main_file.group(1) if main_file else "/etc/nginx/nginx.conf"
        error_log = re.search(r"(?m)^[ \t]*error_log[ \t]+(/[^\s;]+)", read(self.main_file) or "")
        self.error_log = error_log.group(1) if error_log else "/var/log/nginx/error.log"
        if not os.path.isdir("/run/systemd/system"):
            raise OSError(
                "This host does not run systemd (it has no /run/systemd/system), which starts and reloads nginx."
            )
        shown = run(["systemctl", "show", "nginx.service", "--property=ActiveState,UnitFileState,MainPID,LoadState"])
        state = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
        self.active = state.get("ActiveState") in ("active", "reloading")
        self.enabled = state.get("UnitFileState", "") in ("enabled", "static", "generated", "alias")
        self.main_pid = int(state.get("MainPID") or 0)

    def started(self) -> float:
        """Return since when nginx has its present configuration, as a Unix time; 0 if it does not run."""
        processes = [process for process in (process_of(name) for name in os.listdir("/proc")) if process]
        # Processes of an earlier configuration may still end the requests that they have begun.
        workers = [
            started
            for _pid, parent, title, started in processes
            if parent == self.main_pid and "worker process" in title and "shutting down" not in title
        ]
        return min(workers or [started for pid, _parent, _title, started in processes if pid == self.main_pid] or [0.0])


def process_of(name: str) -> tuple[int, int, str, float] | None:
    """Return number, parent, title and time of the start of a process of /proc, or None if there is none any more."""
    if not name.isdigit():
        return None
    try:
        with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        with open(f"/proc/{name}/cmdline", encoding="ascii", errors="replace") as file:
            title = file.read()
    except OSError:
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return int(name), int(fields[1]), title, time.time() - age


def has_ipv6() -> bool:
    """Return whether this host has IPv6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def addresses_of(question: dict[str, t.Any]) -> list[str]:
    """Return the addresses on which nginx listens."""
    return question["addresses"] or ["0.0.0.0", *(["::"] if has_ipv6() else [])]


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


def listening() -> list[tuple[str, int, str]]:
    """Return address, port and inode of each TCP socket that listens on this host."""
    found = []
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in (read(f"/proc/net/{table}") or "").splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] != "0A":
                continue
            parts = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
            packed = b"".join(part.to_bytes(4, sys.byteorder) for part in parts)
            found.append((socket.inet_ntop(family, packed), int(port, 16), fields[9]))
    return found


def owners_of(inodes: set[str]) -> dict[str, str]:
    """Return the names of the programs that have these sockets, as far as they can be seen."""
    names = {}
    for path in glob.glob("/proc/[0-9]*/comm"):
        with contextlib.suppress(OSError):
            names[os.path.dirname(path)] = (read(path) or "").strip()
    found: dict[str, str] = {}
    # Usually nginx has all of them, and no other process has to be looked at.
    for process, name in sorted(names.items(), key=lambda item: item[1] != "nginx"):
        if len(found) == len(inodes):
            break
        for link in glob.glob(f"{process}/fd/*"):
            with contextlib.suppress(OSError):
                inode = os.readlink(link)[len("socket:[") : -1]
                if inode in inodes:
                    found[inode] = name
    return found


def taken_ports(question: dict[str, t.Any]) -> list[str]:
    """Return which ports another program than nginx has, as sentences: nginx would not notice before it needs them."""
    ours = addresses_of(question)
    ports = {int(port): kind for kind in ("https", "http") for port in question["ports"][kind]}
    taken = [
        (address, port, inode)
        for address, port, inode in listening()
        if port in ports
        and any(
            (":" in address) == (":" in mine) and ({address, mine} & {"0.0.0.0", "::"} or address == mine)
            for mine in ours
        )
    ]
    owners = owners_of({inode for _address, _port, inode in taken}) if taken else {}
    others = {port: owners.get(inode, "") for _address, port, inode in taken if owners.get(inode) != "nginx"}
    return [
        f"Port {port} of this host is used by {others[port] or 'another program'}, so nginx cannot listen there. Stop "
        f"that program, or set {question['port_names'][str(port)]} to another port."
        for port in sorted(others)
    ]


def certificate_names(path: str) -> set[str] | None:
    """Return the names in a certificate, or None if it ends too soon or is none."""
    shown = run(["openssl", "x509", "-in", path, "-noout", "-checkend", str(LEAST_VALIDITY), "-ext", "subjectAltName"])
    if shown.returncode:
        return None
    found = re.findall(r"(?:DNS|IP Address):([^,\s]+)", shown.stdout)
    return {address_text(name) for name in found}


def address_text(name: str) -> str:
    """Return a name without its case, or an IP address in its shortest form."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, name.strip("[]")))
        except OSError:
            continue
    return name.lower()


def make_certificate(names: list[str], path: str) -> None:
    """Write a certificate for these names, signed with its own key, and the key, to a file; raises `OSError`."""
    plain = [address_text(name) for name in names]
    alternatives = ",".join(("IP:" if re.search(r":|[.][0-9]+\Z", name) else "DNS:") + name for name in plain)
    with tempfile.TemporaryDirectory() as directory:
        made = [os.path.join(directory, name) for name in ("key", "certificate")]
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", VALID_DAYS, "-subj", "/CN=self-signed by matrix_ops.synapse"]
        command += ["-addext", f"subjectAltName={alternatives}", "-keyout", made[0], "-out", made[1]]
        done = run(command)
        if done.returncode:
            raise OSError(f"openssl cannot make a certificate: {words(done.stderr)}")
        text = f"# Made by the role {MARK}.synapse_reverse_proxy, for tests: a key and its self-signed certificate.\n"
        text += "".join(read(name) or "" for name in made)
    # A run that was killed may have left this file, which nobody reads.
    unfinished = f"{path}.unfinished"
    if os.path.lexists(unfinished):
        os.unlink(unfinished)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(unfinished, path)


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
            files = set(glob.glob(pattern))
            if not matches(self.config_path, pattern):
                return found.group(0)
            self.is_included = True
            files = (files - {self.config_path}) | ({self.config_path} if content is not None else set())
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
    return all(bool(re.fullmatch(translated(one), part)) for part, one in zip(parts, patterns))


def translated(pattern: str) -> str:
    """Return the part of a pattern between slashes as a regular expression."""
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.sub(r"\\\[(!?)((?:\\?.)+?)\\\]", lambda found: f"[{'^' if found[1] else ''}{found[2]}]", text)


def reasons(said: str) -> str:
    """Return why nginx refuses something, out of all that it says: each reason once, without time and process."""
    lines = [re.sub(r"^.*?(\[[a-z]+\])( [0-9]+#[0-9]+:)?(?= )", r"\1", line) for line in said.splitlines()]
    severe = [line for line in lines if re.match(r"\[(emerg|alert|crit|error)\]", line)]
    return words(" ".join(dict.fromkeys(severe)) or said)


def conflicts(question: dict[str, t.Any], warnings: str, dump: str) -> list[str]:
    """Return which names other files of nginx have already, on the same port, as sentences."""
    ours = {name.lower() for name in question["names"]}
    found = {name: place for name, place in CONFLICT.findall(warnings) if name.lower() in ours}
    sections = re.split(r"(?m)^# configuration file (.*):$", dump)
    files = dict(zip(sections[1::2], sections[2::2]))
    sentences = []
    for name, place in sorted(found.items()):
        others = [
            path
            for path, text in files.items()
            if path != question["config_path"]
            and re.search(rf"(?im)^[^#\n]*\bserver_name\s[^;]*(?<![\w.-]){re.escape(name)}(?![\w.-])", text)
        ]
        is_delegated = name.lower() != question["names"][0].lower()
        sentences.append(
            f"{' and '.join(others) or 'Another file of nginx'} already serves {name} on {place}, and nginx would "
            "ignore one of both. "
            + (
                "Serve /.well-known/matrix/server and /.well-known/matrix/client there, and set "
                "synapse_reverse_proxy_well_known to false."
                if is_delegated
                else "Remove that server, or give it another name."
            )
        )
    return sentences


def missing_files(question: dict[str, t.Any]) -> list[str]:
    """Return which declared files do not exist, as sentences."""
    return [
        f"{question['values'][name]} ({name}) does not exist on this host, or is not a file. A client such as certbot "
        "gets a certificate; synapse_reverse_proxy_self_signed makes one for tests."
        for name in ("synapse_reverse_proxy_certificate_path", "synapse_reverse_proxy_private_key_path")
        if not question["self_signed"] and not os.path.isfile(question["values"][name])
    ]


def unsafe_way(path: str) -> list[str]:
    """Return in which directory of a path others than root can write, as a sentence."""
    directory = os.path.realpath(os.path.dirname(path))
    while True:
        try:
            status = os.stat(directory)
            if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return [f"{directory} is not a safe place for {path}, because others than root can write there."]
        except FileNotFoundError:
            pass
        if directory == "/":
            return []
        directory = os.path.dirname(directory)


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
            return conflicts(question, warnings, dump) if is_present else []
        others = trial.test(None)[0] if is_present else refused
    if others:
        return [
            "nginx refuses its configuration also without the file of this role, so correct that first: "
            + reasons(others)
        ]
    named = [name for name, value in question["values"].items() if value and value in refused]
    names = f" The variable of this value is {' or '.join(named)}." if named else ""
    return [f"nginx refuses the configuration, so nothing was changed: {reasons(refused)}.{names}"]


def newest_change(paths: list[str]) -> float:
    """Return when one of these files was changed last, as a Unix time."""
    changed = [os.stat(path).st_ctime for path in paths if os.path.exists(path)]
    # A clock that was wrong at that time would make a file newer than all processes.
    return max([moment for moment in changed if moment <= time.time() + 1] or [0.0])


def used_files(question: dict[str, t.Any]) -> list[str]:
    """Return the files that nginx reads for this role; without any, the directory from which a file was removed."""
    if question["state"] == "absent":
        return [os.path.dirname(question["config_path"])]
    if question["self_signed"]:
        return [question["config_path"], question["self_signed_path"]]
    values = question["values"]
    declared = ("synapse_reverse_proxy_certificate_path", "synapse_reverse_proxy_private_key_path")
    return [question["config_path"], *(values[name] for name in declared)]


def look(question: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the answer to `look`."""
    nginx = Nginx()
    is_present = question["state"] == "present"
    content = complete(question, nginx) if is_present else ""
    present_content = read(question["config_path"])
    own = read(question["self_signed_path"])
    has_openssl = bool(shutil.which("openssl"))
    wants = is_present and question["self_signed"]
    makes = wants and not (
        own
        and has_openssl
        and certificate_names(question["self_signed_path"]) == set(map(address_text, question["names"]))
    )
    packages = ["nginx"] * (is_present and not nginx.path) + ["openssl"] * (makes and not has_openssl)
    wrong = [
        f"{path} was not written by this collection, so it is not replaced or removed. Remove it first, or set "
        "synapse_reverse_proxy_config_path to another path."
        for path, text in ((question["config_path"], present_content), (question["self_signed_path"], own))
        if is_foreign(text)
    ]
    if is_present:
        wrong += missing_files(question) + unsafe_way(question["config_path"]) + taken_ports(question)
        if packages and not question["installs"]:
            wrong.append(
                f"{' and '.join(packages)} is not installed on this host. Install it, or set "
                "synapse_reverse_proxy_install to true."
            )
    changes = present_content is not None
    started = nginx.started() if nginx.active else 0.0
    is_outdated = nginx.active and started <= newest_change(used_files(question))
    if not wrong and nginx.path and not packages and (is_present or changes or is_outdated):
        wrong = refusals(question, nginx, content, makes)
    return {
        "packages": packages,
        "content": content,
        "present_content": present_content,
        "makes_certificate": makes,
        "has_certificate": own is not None,
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


class Outcry:
    """What nginx says in its log and in the journal from now on."""

    def __init__(self, nginx: Nginx) -> None:
        self.log = nginx.error_log
        self.size = os.stat(self.log).st_size if os.path.exists(self.log) else 0
        self.since = f"@{time.time():.3f}"

    def text(self) -> str:
        """Return the reasons for which nginx did not do something."""
        journal = run(["journalctl", "--quiet", "--unit=nginx.service", f"--since={self.since}", "--output=cat"]).stdout
        said = ""
        if os.path.exists(self.log):
            with open(self.log, encoding="utf-8", errors="replace") as log:
                log.seek(self.size)
                said = log.read()
        return "\n".join(line for line in (said + journal).splitlines() if "[emerg]" in line)


def bring_about(verb: str, outcry: Outcry) -> bool:
    """Let systemd reload, start or restart nginx, and return whether nginx has read its files since then."""
    # The kernel rounds the start of a process down to its ticks.
    asked = time.time() - 2 / os.sysconf("SC_CLK_TCK")
    done = run(["systemctl", verb, "nginx.service"])
    deadline = time.monotonic() + RELOAD_LIMIT
    while done.returncode == 0 and time.monotonic() < deadline:
        now = Nginx()
        if now.active and now.started() >= asked:
            return True
        if "still could not bind()" in outcry.text():
            return False
        time.sleep(0.1)
    return False


def apply(question: dict[str, t.Any]) -> None:
    """Let nginx use its files; raises `OSError` with nginx's own words if it does not."""
    nginx = Nginx()
    tested = run([nginx.path, "-t"])
    if tested.returncode:
        raise OSError(f"nginx refuses the configuration: {reasons(tested.stderr)}")
    if not nginx.active and question["state"] == "absent":
        return
    outcry = Outcry(nginx)
    is_used = bring_about("reload" if nginx.active else "start", outcry)
    # nginx cannot listen on one address while its earlier processes listen on all of them, or the other way round. If
    # other ports are the cause, nginx would not start again.
    refused = set(re.findall(r"bind\(\) to \S*:([0-9]+) failed", outcry.text()))
    if (
        not is_used
        and nginx.active
        and refused
        and refused <= set(question["port_names"])
        and not taken_ports(question)
    ):
        outcry = Outcry(nginx)
        is_used = bring_about("restart", outcry)
    if not is_used:
        said = reasons(outcry.text()) or "journalctl --unit=nginx.service shows the reason"
        raise OSError(f"nginx does not {'use its new configuration' if nginx.active else 'start'}: {said}.")
    if question["state"] == "present" and not nginx.enabled:
        enabled = run(["systemctl", "enable", "nginx.service"])
        if enabled.returncode:
            raise OSError(f"nginx.service cannot be enabled: {words(enabled.stderr)}")


def main() -> None:
    """Do what the question says."""
    question = json.loads(sys.argv[1])
    if question["do"] == "look":
        print(json.dumps(look(question)))
    elif question["do"] == "certificate":
        make_certificate(question["names"], question["self_signed_path"])
    else:
        apply(question)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, subprocess.SubprocessError) as error:
        sys.exit(words(str(error)))
