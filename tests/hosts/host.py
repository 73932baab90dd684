# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bare Debian host with a booted systemd, made for one test and thrown away after it.

host build             make the tree that every host starts from, unless it is there already
host start NAME        boot a fresh copy of the tree and print the path of its Ansible inventory
host ssh NAME [CMD]    log in as an ordinary user who may use sudo, or run CMD
host reboot NAME       restart it and wait until it is up again
host wipe NAME [DIR]   boot it afresh, under the same address; of what was on it only DIR is left
host stop NAME         stop it and remove everything it left
host list              the names of all hosts

The tree is made by mmdebstrap and boots in systemd-nspawn; each host sees it through an overlay of its own, so the tree
stays as it was built. A host shares the network of this machine, but its sshd listens on 127.0.0.1 only. It runs in
process and mount namespaces of its own: when their first process ends, nothing of it is left running or mounted.

Files are kept in $CACHE (default ~/.cache/matrix_ops.synapse). Exit status 77: this machine cannot run such hosts.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import inspect
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import typing as t
from pathlib import Path

HERE = Path(__file__).resolve().parent
RELEASE = "bookworm"
PACKAGES = ["systemd", "systemd-sysv", "dbus", "python3", "python3-apt", "openssh-server", "sudo", "ca-certificates"]
LOGIN = "ansible"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
NEEDED = {"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "ssh": "openssh-client"}
HARD_FILE_LIMIT = 20000
BOOT_SECONDS = 90
PORTS = range(20000, 30000)

CACHE = Path(
    os.environ.get("CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matrix_ops.synapse"
).absolute()
BASE = CACHE / "hosts"

# The root directory of a host is for all of its accounts, whatever this user keeps to themselves.
os.umask(0o022)


class CannotRunError(Exception):
    """This machine lacks something that a host needs; the message names it."""


class HostError(Exception):
    """A host could not be built, started or reached."""


def run(*command: str | Path, text: str | None = None) -> str:
    """Run a command to its end and return what it printed; HostError with its last lines when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise HostError(f"{Path(str(command[0])).name} failed: " + "\n".join(done.stdout.splitlines()[-15:]))
    return done.stdout


@contextlib.contextmanager
def locked(name: str) -> t.Iterator[None]:
    """Hold the lock of that name: one process at a time does what is inside."""
    BASE.mkdir(parents=True, exist_ok=True)
    with (BASE / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another process to end its {name}", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def require_machine() -> None:
    """Install the programs a host needs, as root on Debian; CannotRunError says what is missing and cannot be had."""
    if os.geteuid() != 0:
        raise CannotRunError("hosts with a booted systemd need root")
    missing = sorted(package for program, package in NEEDED.items() if not shutil.which(program))
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise CannotRunError("missing on this machine, and there is no apt-get to install it: " + ", ".join(missing))
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    try:
        run("apt-get", "-qq", "update")
        run("apt-get", "-qq", "install", "--no-install-recommends", "--yes", *missing, "debian-archive-keyring")
    except HostError as error:
        raise CannotRunError(f"apt-get could not install {', '.join(missing)}: {error}") from error


def package_sources() -> str:
    """The lines of sources.list: this machine's own where it is the same Debian, else none (mmdebstrap's default)."""
    listed = run("apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(RELEASE)", "Created-By: Packages")
    found = {line.removeprefix("Debian ") for line in listed.splitlines() if line.startswith("Debian ")}
    lines = sorted(f"deb {line} main" for line in found if line.split()[-1].split("-")[0] == RELEASE)
    return "\n".join(lines) + "\n" if any(line.endswith(f" {RELEASE} main") for line in lines) else ""


def apt_settings() -> str:
    """How this machine's apt downloads (proxy, certificates, dates), as lines of an apt.conf."""
    lines = run("apt-config", "dump", "Acquire").splitlines()
    kept = [line for line in lines if not re.match(r'Acquire(::(IndexTargets|Changelogs|cdrom).*| ".*)', line)]
    return "\n".join([*kept, 'Acquire::Languages "none";']) + "\n"


def pip_settings() -> str:
    """How this machine's pip downloads, as a pip.conf: certificates, and an index, proxy or timeout if one is set."""
    settings = {"cert": str(CA_BUNDLE)}
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    for key, value in re.findall(r"^[\w:-]+\.([\w-]+)='(.*)'$", listed, re.MULTILINE):
        if key in ("index-url", "proxy", "timeout", "default-timeout"):
            settings[key] = value
    return "[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())


def make_tree(root: Path, sources: str, apt_conf: str, pip_conf: str, compiled_once: str) -> None:
    """Make the bare Debian in the directory `root`: what an installed machine has, and not one package for Synapse."""
    root.parent.joinpath("apt.conf").write_text(apt_conf)
    run(
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        f"--aptopt={root.parent / 'apt.conf'}",
        "--skip=cleanup/apt/lists",
        RELEASE,
        root,
        *(["-"] if sources else []),
        text=sources,
    )
    run("chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", LOGIN)
    (root / "etc/sudoers.d" / LOGIN).write_text(f"{LOGIN} ALL=(ALL) NOPASSWD: ALL\n")
    (root / "etc/sudoers.d" / LOGIN).chmod(0o440)
    (root / "etc/pip.conf").write_text(pip_conf)
    # no fsync after every unpacked file: the host is thrown away anyway
    (root / "etc/dpkg/dpkg.cfg.d/fast").write_text("force-unsafe-io\n")
    # without it, each task compiles again what Ansible has sent with the task before
    (root / "var/cache/compiled").mkdir()
    for customize in root.glob("etc/python3.*/sitecustomize.py"):
        customize.write_text(compiled_once)
    if CA_BUNDLE.exists():
        shutil.copyfile(CA_BUNDLE, root / CA_BUNDLE.relative_to("/"))
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", LOGIN, "-f", root.parent / "key")
    keys = root / "home" / LOGIN / ".ssh/authorized_keys"
    keys.parent.mkdir(mode=0o700)
    shutil.copyfile(root.parent / "key.pub", keys)
    run("chroot", root, "chown", "--recursive", f"{LOGIN}:{LOGIN}", f"/home/{LOGIN}/.ssh")


def build() -> Path:
    """Return the directory with `root` (the tree) and `key` (the ssh key), made now unless this recipe's is there.

    Its name is a hash of the recipe, and it gets that name only when it is whole. Trees of older recipes are removed
    when no host runs on them.
    """
    require_machine()
    with locked("build"):
        compiled_once = (HERE / "compiled_once.py").read_text()
        settings = [package_sources(), apt_settings(), pip_settings(), compiled_once]
        certificates = CA_BUNDLE.read_text() if CA_BUNDLE.exists() else ""
        recipe = [RELEASE, PACKAGES, inspect.getsource(make_tree), *settings, certificates]
        name = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]
        tree = BASE / "trees" / name
        if not tree.is_dir():
            used = {Host(host).tree for host in host_names()}
            for old in (BASE / "trees").glob("*"):
                if old not in used:
                    shutil.rmtree(old)
            made = BASE / "trees" / f"{name}.unfinished"
            (made / "root").mkdir(parents=True)
            (made / "made").mkdir()
            made.chmod(0o700)
            make_tree(made / "root", *settings)
            made.rename(tree)
    return tree


def free_port() -> int:
    """A port of the loopback address that nothing listens on; below the range that outgoing connections use."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def new_cgroup(name: str) -> list[Path]:
    """Make a control group for the host in every hierarchy that systemd uses, and return them.

    Without one of its own, the systemd of a second host would take the services of the first for its own.
    """
    made = []
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _device, mount, kind, options, *_rest in mounts:
        for _number, controllers, path in groups:
            if (kind == "cgroup2" and not controllers) or (
                kind == "cgroup" and controllers == "name=systemd" and controllers in options.split(",")
            ):
                made.append(Path(mount) / path.lstrip("/") / f"matrix-ops-{name}")
    for group in made:
        group.mkdir(exist_ok=True)
    return made


def host_names() -> list[str]:
    """The names of all hosts that were started and not stopped."""
    return sorted(path.parent.name for path in BASE.glob("running/*/tree"))


class Host:
    """One throw-away host: `state` holds its overlay, console output, inventory and process id."""

    def __init__(self, name: str) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,50}", name):
            raise HostError(f"{name!r} is no name for a host: lower case letters, digits, '_' and '-' only")
        self.name = name
        self.machine = name.replace("_", "-")
        self.state = BASE / "running" / name
        self.inventory = self.state / "inventory/hosts.json"
        self.processor_seconds = 0.0

    @property
    def tree(self) -> Path | None:
        """The tree it was started from; None if there is no such host."""
        with contextlib.suppress(OSError):
            return Path((self.state / "tree").read_text())
        return None

    def process(self) -> int | None:
        """The process id of the namespaces' parent, or None if that has ended (or is another program by now)."""
        with contextlib.suppress(OSError, ValueError):
            number = int((self.state / "pid").read_text())
            if os.fsencode(f"\0{self.state}\0") in Path(f"/proc/{number}/cmdline").read_bytes():
                return number
        return None

    def start(self) -> None:
        """Boot it from the tree, and wait until systemd inside says that every service is up; HostError if not."""
        self.stop()
        tree = build()
        port = free_port()
        self.inventory.parent.mkdir(parents=True)
        self.write_inventory(tree, port)
        self.start_on(tree, port)

    def wipe(self, kept: str = "") -> None:
        """Boot it afresh, with the same inventory. `kept`: a directory of the old host that the new one has too."""
        tree = self.tree
        if tree is None or self.process() is None:
            raise HostError(f"host {self.name} does not run; start it with: host start {self.name}")
        variables = json.loads(self.inventory.read_text())["all"]["children"]["synapse"]["hosts"][self.name]
        aside = self.state / "kept"
        # What it has not written yet would be lost with it.
        self.ssh("sync", capture=True)
        self.end()
        place = self.state / "upper" / kept.lstrip("/")
        if kept:
            place.rename(aside)
        for part in ("upper", "work", "root"):
            shutil.rmtree(self.state / part)
        if kept:
            place.parent.mkdir(parents=True)
            aside.rename(place)
        self.start_on(tree, variables["ansible_port"])

    def start_on(self, tree: Path, port: int) -> None:
        """Boot it with a new overlay on the tree, its sshd on that port; HostError if a service does not come up."""
        for part in ("upper/etc/ssh/sshd_config.d", "upper/var/cache/apt/archives", "work", "root"):
            (self.state / part).mkdir(parents=True, exist_ok=True)
        (self.state / "tree").write_text(str(tree))
        self.write_settings(tree, port)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(f"\0matrix-ops-{os.getpid()}-{self.name}")
            self.boot(tree, ready)
        failed = self.ssh("systemctl --failed --plain --no-legend", capture=True).stdout
        if failed.strip():
            raise HostError(f"host {self.name} has booted, but these services failed:\n{failed}")

    def write_settings(self, tree: Path, port: int) -> None:
        """Put into the overlay what differs from host to host, and the packages that earlier hosts downloaded."""
        etc = self.state / "upper/etc"
        (etc / "hostname").write_text(self.machine + "\n")
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.machine}\n::1 localhost ip6-localhost\n")
        (etc / "ssh/sshd_config.d/listen.conf").write_text(f"Port {port}\nListenAddress 127.0.0.1\n")
        (BASE / "apt").mkdir(exist_ok=True)
        (BASE / "pip").mkdir(exist_ok=True)
        for package in (BASE / "apt").glob("*.deb"):
            os.link(package, self.state / "upper/var/cache/apt/archives" / package.name)
        host_key = (tree / "root/etc/ssh/ssh_host_ed25519_key.pub").read_text()
        (self.state / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")

    def write_inventory(self, tree: Path, port: int) -> None:
        """Write the Ansible inventory: this host, and free ports for what the tests run on it."""
        # In quotes for ssh, and in others for what splits the arguments: a path may hold spaces.
        known_hosts = shlex.quote(f'UserKnownHostsFile="{self.state / "known_hosts"}"')
        variables = {
            "ansible_host": "127.0.0.1",
            "ansible_port": port,
            "ansible_user": LOGIN,
            "ansible_ssh_private_key_file": str(tree / "key"),
            "ansible_ssh_common_args": f"-o {known_hosts} -o IdentitiesOnly=yes",
            "ansible_python_interpreter": "/usr/bin/python3",
            "free_ports": [free_port() for _index in range(4)],
        }
        inventory = {"all": {"children": {"synapse": {"hosts": {self.name: variables}}}}}
        self.inventory.write_text(json.dumps(inventory, indent=2) + "\n")

    def boot(self, tree: Path, ready: socket.socket) -> None:
        """Start the namespaces, the overlay and systemd inside, and wait for its word on the socket `ready`."""
        with_systemd = Path("/run/systemd/system").is_dir()
        groups = [] if with_systemd else new_cgroup(self.machine)
        (self.state / "cgroups").write_text("".join(f"{group}\n" for group in groups))
        hard = min(HARD_FILE_LIMIT, int(run("sh", "-c", "ulimit -Hn").replace("unlimited", str(HARD_FILE_LIMIT))))
        nspawn = [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--link-journal=no",
            "--notify-ready=yes",
            "--resolv-conf=copy-host",
            # the same everywhere: a hard limit that systemd inside cannot raise, as on many rented servers
            "--drop-capability=CAP_SYS_RESOURCE",
            f"--rlimit=NOFILE=1024:{hard}",
            f"--machine={self.machine}",
            f"--directory={self.state / 'root'}",
            f"--bind={BASE / 'pip'}:/root/.cache/pip",
            # what scenarios make in order to have something to work on, for the next hosts on this tree
            f"--bind={tree / 'made'}:/var/cache/made",
        ]
        scope = ["systemd-run", "--scope", "--quiet", "--collect", "--property=Delegate=yes"] if with_systemd else []
        with (self.state / "console").open("wb") as console:
            process = subprocess.Popen(
                [*scope, str(HERE / "boot.sh"), str(self.state), str(tree), *nspawn],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": ready.getsockname().decode().replace("\0", "@")},
            )
        ready.settimeout(0.5)
        deadline = time.monotonic() + BOOT_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in ready.recv(4096):
                    return
        console_end = "\n".join((self.state / "console").read_text(errors="replace").splitlines()[-15:])
        raise HostError(f"host {self.name} did not boot within {BOOT_SECONDS} s:\n{console_end}")

    def ssh(self, command: str = "", capture: bool = False, quiet: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command on the host over ssh, or log in without one; HostError if there is no such host.

        `capture` returns its output instead of letting it through, `quiet` drops what it says on stderr.
        """
        if self.process() is None:
            raise HostError(f"host {self.name} does not run; start it with: host start {self.name}")
        variables = json.loads(self.inventory.read_text())["all"]["children"]["synapse"]["hosts"][self.name]
        words = ["ssh", "-o", "LogLevel=ERROR", "-i", variables["ansible_ssh_private_key_file"]]
        words += [*shlex.split(variables["ansible_ssh_common_args"]), "-p", str(variables["ansible_port"])]
        words += [f"{LOGIN}@127.0.0.1", *([command] if command else [])]
        return subprocess.run(
            words,
            text=True,
            stdin=subprocess.DEVNULL if capture else None,
            stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.DEVNULL if quiet else None,
            check=False,
        )

    def reboot(self) -> None:
        """Restart the host and wait until every service is up again; HostError if that takes too long."""
        boot = "cat /proc/sys/kernel/random/boot_id"
        before = self.ssh(boot, capture=True).stdout
        self.ssh("sudo systemctl reboot", capture=True)
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            answer = self.ssh(f"{boot} && systemctl is-system-running --wait", capture=True, quiet=True).stdout
            if answer.endswith("running\n") and before not in answer:
                return
            time.sleep(0.2)
        raise HostError(f"host {self.name} was not up again within {BOOT_SECONDS} s")

    def stop(self) -> None:
        """Stop the host and remove it; keep the packages it downloaded for the next ones. No host is no error."""
        self.end()
        if self.state.exists():
            shutil.rmtree(self.state)

    def end(self) -> None:
        """Stop the host, and keep the packages it downloaded for the next ones; its overlay and inventory stay."""
        self.processor_seconds += self.used_seconds()
        number = self.process()
        if number is not None:
            os.kill(number, signal.SIGKILL)
            while self.process() is not None:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(number, os.WNOHANG)
                time.sleep(0.05)
        for package in (self.state / "upper/var/cache/apt/archives").glob("*.deb"):
            with contextlib.suppress(FileExistsError):
                os.link(package, BASE / "apt" / package.name)
        with contextlib.suppress(OSError):
            for group in (self.state / "cgroups").read_text().split():
                self.remove_cgroup(Path(group))

    def used_seconds(self) -> float:
        """How many seconds of processor time all that runs on the host has taken; 0 if the kernel does not say.

        Of what ends with the host whoever has started it learns nothing.
        """
        with contextlib.suppress(OSError):
            for group in (self.state / "cgroups").read_text().split():
                told = Path(group, "cpu.stat")
                used = re.search(r"^usage_usec (\d+)$", told.read_text(), re.MULTILINE) if told.exists() else None
                if used:
                    return int(used.group(1)) / 1_000_000
        return 0.0

    def remove_cgroup(self, group: Path) -> None:
        """Remove a control group and those below it, as soon as their last process is gone."""
        deadline = time.monotonic() + 10
        while group.exists():
            for path, _directories, _files in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
            if time.monotonic() > deadline:
                raise HostError(f"processes of host {self.name} do not end: see {group}/cgroup.procs")
            time.sleep(0.02)


def main(words: list[str]) -> int:
    """Carry out one command line and return the exit status."""
    command, names = (words or ["help"])[0], words[1:]
    if command == "build" and not names:
        print(build())
    elif command == "list" and not names:
        print("\n".join(host_names()))
    elif command == "start" and len(names) == 1:
        host = Host(names[0])
        try:
            host.start()
        except BaseException:
            host.stop()
            raise
        print(host.inventory)
    elif command == "reboot" and len(names) == 1:
        Host(names[0]).reboot()
    elif command == "wipe" and len(names) in (1, 2):
        Host(names[0]).wipe(*names[1:])
    elif command == "stop" and len(names) == 1:
        Host(names[0]).stop()
    elif command == "ssh" and names:
        return Host(names[0]).ssh(" ".join(names[1:])).returncode
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_arguments: sys.exit(143))
    try:
        sys.exit(main(sys.argv[1:]))
    except CannotRunError as error:
        print(error, file=sys.stderr)
        sys.exit(77)
    except HostError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
