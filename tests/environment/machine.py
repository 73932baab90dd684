# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine has: Pythons, packages of Debian, and the directory where built tools are kept."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

# The reverse proxies and the DNS server of the tests: the package of Debian with each program, and where it is there.
_PROXIES = {
    "nginx": ("nginx", "usr/sbin/nginx"),
    "apache2": ("apache2-bin", "usr/sbin/apache2"),
    "caddy": ("caddy", "usr/bin/caddy"),
    "haproxy": ("haproxy", "usr/sbin/haproxy"),
    "dnsmasq": ("dnsmasq-base", "usr/sbin/dnsmasq"),
}
# The programs that encrypt backups, with their packages.
_ENCRYPTION = {"age": "age", "gpg": "gnupg"}
_DEBIAN_PYTHONS = ("/usr/bin", "/usr/local/bin")
_SYSTEM_PYTHON = Path("/usr/bin/python3")


class CannotRun(Exception):
    """Something is missing here. The message says what, and how to get it."""


class InstallationFailed(Exception):
    """Something could not be installed although this machine should be able to. The message says what, and why."""


def cache() -> Path:
    """Return the directory of built tools, made if need be: outside of the checkout, so that a new clone finds it."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = Path(os.environ.get("MATRIX_OPS_CACHE") or home / "matrix_ops.synapse")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextlib.contextmanager
def locked(name: str, directory: Path | None = None) -> t.Iterator[None]:
    """Let no other run that uses the same directory (default: the cache) do the same at the same time."""
    path = (directory or cache()) / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@functools.cache
def pythons() -> dict[tuple[int, int], Path]:
    """Return the CPythons that are installed, by version: those of the system, of pyenv, and the one running this.

    Of several with the same version, one that can make virtual environments is preferred.
    """
    directories = [Path(directory) for directory in _DEBIAN_PYTHONS]
    directories += sorted((Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions").glob("*/bin"))
    # Shims of pyenv answer to every name, even to those of Pythons that are not there.
    directories += [Path(entry) for entry in os.get_exec_path() if "shims" not in entry]
    found = {sys.version_info[:2]: [Path(sys.executable)]}
    for directory in directories:
        for path in directory.glob("python3.*"):
            version = re.fullmatch(r"python3\.(\d+)", path.name)
            if version and os.access(path, os.X_OK):
                found.setdefault((3, int(version.group(1))), []).append(path)
    return {version: next(filter(has_pip, paths), paths[0]) for version, paths in sorted(found.items())}


def has_pip(python: Path) -> bool:
    """Whether this Python brings along what it puts into virtual environments: that of Debian does not."""
    with contextlib.suppress(OSError):
        return subprocess.run([python, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0
    return False


def newest_python(minimum: tuple[int, int], maximum: tuple[int, int] = (3, 14)) -> Path:
    """Return the newest Python from `minimum` to `maximum`. Raises CannotRun if there is none."""
    suitable = [path for version, path in pythons().items() if minimum <= version <= maximum]
    if not suitable:
        raise CannotRun(f"no Python {minimum[0]}.{minimum[1]} or newer is installed")
    return suitable[-1]


def fastest_python(minimum: tuple[int, int], maximum: tuple[int, int] = (3, 14)) -> Path:
    """Return the Python of the system if it is one from `minimum` to `maximum`, else the newest one. Raises CannotRun.

    Distributions build theirs with profiles of real programs, which makes it a third faster than one from pyenv.
    """
    shown = "import sys; print(*sys.version_info[:2])"
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        said = subprocess.run([_SYSTEM_PYTHON, "-c", shown], capture_output=True, text=True, check=True).stdout
        major, minor = (int(number) for number in said.split())
        if minimum <= (major, minor) <= maximum and (has_pip(_SYSTEM_PYTHON) or is_debian()):
            return _SYSTEM_PYTHON
    return newest_python(minimum, maximum)


def is_debian() -> bool:
    """Whether this is Debian or made from it, and this user may install its packages."""
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def install_packages(packages: t.Sequence[str]) -> None:
    """Install packages of Debian. Raises CannotRun where that is not possible."""
    _require_debian(packages)
    with locked("apt"):
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-qq", "--no-install-recommends", *packages)


def _require_debian(packages: t.Sequence[str]) -> None:
    if not is_debian():
        raise CannotRun(f"missing: {', '.join(packages)}. Install them, or run this as root on Debian or Ubuntu")


def _run(*command: str | Path, directory: Path | None = None) -> str:
    """Return what a program of Debian prints. Raises CannotRun with its last line if it fails."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        shown = " ".join(str(word) for word in command)
        raise CannotRun(f"{shown} failed: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def postgresql_bin() -> Path:
    """Return the directory of PostgreSQL's server programs, installed if need be. Raises CannotRun."""
    directory = _postgresql_directory()
    if directory is None:
        # The package would make and start a cluster that nobody asked for.
        configuration = Path("/etc/postgresql-common/createcluster.conf")
        if is_debian() and not configuration.exists():
            configuration.parent.mkdir(exist_ok=True)
            configuration.write_text("create_main_cluster = false\n")
        install_packages(["postgresql"])
        directory = _postgresql_directory()
    if directory is None:
        raise CannotRun("PostgreSQL is installed, but its initdb is not to be found")
    return directory


def redis_server() -> Path:
    """Return the server program of Redis, installed if need be. Raises CannotRun.

    It has to be started with the name redis-server. Debian's package of that name would start a service; the same
    program is in another package, with which files are checked.
    """
    found = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if found is None:
        install_packages(["redis-tools"])
        found = shutil.which("redis-check-rdb")
    if found is None:
        raise CannotRun("Redis is installed, but its server is not to be found")
    return Path(found)


def require_encryption() -> None:
    """Install age and GnuPG, to which backups are encrypted, if they are missing. Raises CannotRun."""
    missing = [package for program, package in _ENCRYPTION.items() if shutil.which(program) is None]
    if missing:
        install_packages(missing)


def proxies() -> dict[str, str]:
    """Return the programs of the reverse proxies and of dnsmasq, by their names. Raises CannotRun.

    Those that are installed are used. Debian's packages would start services with files in /etc, so the others are
    unpacked into the cache, and only the libraries that they need are installed.
    """
    # Programs of the system are not in the PATH of every user.
    path = os.pathsep.join([*os.get_exec_path(), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = {name: shutil.which(name, path=path) for name in _PROXIES}
    if not all(found.values()):
        unpacked = _unpacked_proxies()
        found = {name: found[name] or str(unpacked / place) for name, (_package, place) in _PROXIES.items()}
    return {name: program for name, program in found.items() if program}


def _unpacked_proxies() -> Path:
    """Return the directory with the packages of the proxies, unpacked if need be."""
    packages = [package for package, _place in _PROXIES.values()]
    _require_debian(packages)
    system = platform.freedesktop_os_release()
    directory = cache() / f"proxies-{system['ID']}-{system.get('VERSION_ID', 'rolling')}"
    with locked(directory.name):
        if not directory.exists():
            with locked("apt"):
                _run("apt-get", "update", "-qq")
            with tempfile.TemporaryDirectory(dir=cache(), prefix="proxies-") as made:
                root = Path(made, "root")
                _run("apt-get", "download", "-qq", *packages, directory=Path(made))
                archives = sorted(Path(made).glob("*.deb"))
                for archive in archives:
                    _run("dpkg-deb", "-x", archive, root)
                (root / "libraries").write_text("\n".join(sorted(_libraries(archives))))
                # Last, because the directory is complete if it exists.
                root.rename(directory)
        # Another machine may have unpacked them.
        if missing := set((directory / "libraries").read_text().split()) - _installed():
            install_packages(sorted(missing))
    return directory


def _libraries(archives: t.Sequence[Path]) -> set[str]:
    """Return the packages of libraries that these packages depend on; of alternatives, the first."""
    depends = ",".join(_run("dpkg-deb", "-f", archive, "Depends") for archive in archives)
    return {name for name in re.findall(r"(?:^|,)\s*([a-z0-9.+-]+)", depends) if name.startswith("lib")}


def _installed() -> set[str]:
    """Return the packages that are installed."""
    shown = _run("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\\n").splitlines()
    return {line.split()[0] for line in shown if line.endswith(" installed")}


def _postgresql_directory() -> Path | None:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if debian:
        return debian[-1].parent
    found = shutil.which("initdb")
    # Next to a link need not lie the other programs.
    return Path(found).resolve().parent if found else None
