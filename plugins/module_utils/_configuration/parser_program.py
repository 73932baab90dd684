# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""The program that asks Synapse's own parser, for the Python of Synapse: nothing is created, and no key is made.

When Synapse starts, it creates the directories that its configuration names (1.163: Config.ensure_directory in
synapse/config/_base.py, which media storage providers use too), its signing key and the file of
registration_shared_secret_path (generate_files in key.py and registration.py). The program only checks that the user of
Synapse could do so. It replaces functions of Python where it can, and functions of Synapse only if they exist.

A configuration with worker_app is that of a worker (create_homeserver in app/generic_worker.py), and the main process
does not start with it (app/homeserver.py).

After load_config it reads what Synapse reads a moment later when it starts: the log configuration, the certificate, the
registrations of application services, and the driver of PostgreSQL. Of the handlers in the log configuration, it only
makes those that write to files and streams, and they write nothing.
"""

from __future__ import annotations

# As root, without Python modules from the working directory.
ISOLATED = "isolated"
# Synapse would make its signing key, because there has never been one.
NEW_KEY = "new_key"
# It is unknown in which directory Synapse runs, so that nobody knows whether it could create directories there.
ANY_DIRECTORY = "any_directory"
# A file with worker_app is for one worker, and not in a directory that the main process reads too.
WORKER = "worker"

# The exit statuses with which it answers. Python itself and other programs end with others.
ACCEPTED, REFUSED = 86, 87

# The first argument: the words above, with commas between them. The others are those of Synapse's parser. If the task
# was killed, nobody reads the standard error any more: that ends the program, and an alarm if Synapse is stuck. Modules
# in the configuration may use temporary directories.
_PROGRAM = """
import sys
if "isolated" in sys.argv[1]:
    sys.path[:] = [place for place in sys.path if place]
import errno, functools, importlib.util, logging.config, logging.handlers, os, select, signal, tempfile, threading
import traceback

def end_with_task():
    task = select.poll()
    task.register(2, 0)
    task.poll()
    os.killpg(os.getpid(), signal.SIGKILL)

signal.alarm(70)
threading.Thread(target=end_with_task, daemon=True).start()
logging.disable(logging.CRITICAL)
options, mkdir, isdir, exists, made = sys.argv[1].split(","), os.mkdir, os.path.isdir, os.path.exists, set()

def fail(number, path):
    raise OSError(number, os.strerror(number), path)

def require_place(parent, path):
    if parent in made:
        return
    if not isdir(parent):
        fail(errno.ENOTDIR if os.path.lexists(parent) else errno.ENOENT, path)
    if os.access(parent, os.W_OK | os.X_OK) or ("any_directory" in options and parent == os.getcwd()):
        return
    fail(errno.EROFS if os.statvfs(parent).f_flag & os.ST_RDONLY else errno.EACCES, path)

def only_check(path, mode=0o777, *, dir_fd=None):
    if dir_fd is not None or sys._getframe(1).f_globals.get("__name__") == tempfile.__name__:
        return mkdir(path, mode, dir_fd=dir_fd)
    place = os.path.abspath(os.fsdecode(path))
    if "\\0" in place:
        raise ValueError("embedded null byte")
    if place in made or os.path.lexists(place):
        fail(errno.EEXIST, path)
    require_place(os.path.dirname(place), path)
    made.add(place)

def is_made(path):
    return isinstance(path, (str, bytes, os.PathLike)) and os.path.abspath(os.fsdecode(path)) in made

# Not a function: before Python 3.11, pathlib makes it an attribute of a class.
os.mkdir = functools.partial(only_check)
os.path.isdir = lambda path: is_made(path) or isdir(path)
os.path.exists = lambda path: is_made(path) or exists(path)

def could_be_made(path):
    if not isinstance(path, str) or os.path.lexists(path):
        return False
    try:
        require_place(os.path.dirname(os.path.abspath(path)), path)
    except OSError:
        return False
    return True

try:
    from synapse.config._base import ConfigError
    from synapse.config.homeserver import HomeServerConfig
except ModuleNotFoundError as error:
    if error.name not in ("synapse", "synapse.config"):
        raise
    sys.exit("%s: No module named %s" % (sys.executable, error.name))

def replace(module, name, make):
    owner = sys.modules.get(module)
    for part in name.split(".")[:-1]:
        owner = getattr(owner, part, None)
    last = name.split(".")[-1]
    if hasattr(owner, last):
        setattr(owner, last, make(getattr(owner, last)))

def with_new_key(read):
    def read_signing_keys(config, path, name="", *more, **named):
        if name == "signing_key" and could_be_made(path):
            from signedjson.key import generate_signing_key
            return [generate_signing_key("a_new")]
        return read(config, path, name, *more, **named)
    return read_signing_keys

def with_new_secret(read):
    def read_file(path, setting="", *more, **named):
        if list(setting or ()) == ["registration_shared_secret_path"] and could_be_made(path):
            return "a" * 50
        return read(path, setting, *more, **named)
    return read_file

if "new_key" in options:
    replace("synapse.config.key", "KeyConfig.read_signing_keys", with_new_key)
replace("synapse.config.registration", "read_file", with_new_secret)

def part(config, name):
    for each in name.split("."):
        config = getattr(config, each, None)
    return config

def check_worker(app):
    if "worker" not in options:
        raise ConfigError("worker_app is set, but the main process of Synapse does not start with it. If only a worker"
            " reads that file, name the file itself in config_path, and not its directory")
    if not str(app).startswith("synapse.app.") or not importlib.util.find_spec(app):
        raise ConfigError("worker_app: Synapse has no worker %s" % (app,))

def open_nothing(handler):
    path = handler.baseFilename
    if not os.path.lexists(path):
        require_place(os.path.dirname(path), path)
    elif isdir(path) or not os.access(path, os.W_OK):
        fail(errno.EISDIR if isdir(path) else errno.EACCES, path)
    return open(os.devnull, "a")

def is_harmless(kind):
    kinds = (logging.StreamHandler, logging.handlers.BufferingHandler, logging.NullHandler)
    is_known = getattr(kind, "__module__", "").split(".")[0] in ("logging", "synapse")
    return is_known and isinstance(kind, type) and issubclass(kind, kinds)

class OnlyFilesAndStreams(logging.config.DictConfigurator):
    def configure_handler(self, config):
        name = config.get("()", config.get("class"))
        if name and not is_harmless(self.resolve(name) if isinstance(name, str) else name):
            config = {key: config[key] for key in ("level", "formatter", "filters") if key in config}
            config["class"] = "logging.NullHandler"
        return super().configure_handler(config)

logging.FileHandler._open = open_nothing
logging.config.dictConfigClass = OnlyFilesAndStreams

def tokens_in(path):
    try:
        import yaml
        with open(path) as file:
            found = yaml.safe_load(file)
        return [str(found[name]) for name in ("as_token", "hs_token") if found.get(name)]
    except Exception:
        return []

def load_config():
    config = HomeServerConfig.load_config("", sys.argv[2:])
    worker = part(config, "worker.worker_app")
    if worker:
        check_worker(worker)
    name = "worker_log_config" if worker else "log_config"
    path = part(config, "worker.worker_log_config" if worker else "logging.log_config")
    load = getattr(sys.modules.get("synapse.config.logger"), "_load_logging_config", None)
    # The main process makes a missing one when it starts.
    if path and load and (worker or not could_be_made(os.path.realpath(path))):
        try:
            load(path)
        except Exception as error:
            raise ConfigError("%s %s: %s: %s" % (name, path, type(error).__name__, error)) from error.__cause__
    if any(part(each, "config").get("name") == "psycopg2" for each in part(config, "database.databases") or ()):
        import psycopg2
    if part(config, "server.has_tls_listener") and config.server.has_tls_listener():
        (part(config, "tls.read_certificate_from_disk") or bool)()
    services = part(config, "appservice.app_service_config_files")
    load = getattr(sys.modules.get("synapse.config.appservice"), "load_appservices", None)
    if services and load:
        try:
            load(config.server.server_name, services)
        except Exception as error:
            words = "app_service_config_files: %s: %s" % (type(error).__name__, error)
            for token in (token for path in services for token in tokens_in(path)):
                words = words.replace(token, "(hidden)")
            raise ConfigError(words) from None

def refuse(words):
    sys.stderr.write("\\n" + words + "\\n")
    sys.exit(REFUSED)

try:
    load_config()
except ConfigError as error:
    where, words, cause = getattr(error, "path", None), [str(getattr(error, "msg", error))], error.__cause__
    if where:
        words.insert(0, where if isinstance(where, str) else ".".join(map(str, where)))
    while cause:
        words.append(str(cause))
        cause = cause.__cause__
    refuse(": ".join(word.strip() for word in words))
except SystemExit as error:
    is_status = error.code is None or isinstance(error.code, int)
    refuse("\\nIt was ended (%s) while it read its configuration" % (error.code,) if is_status else str(error.code))
except Exception:
    traceback.print_exc()
    sys.exit(REFUSED)
sys.exit(ACCEPTED)
"""
PROGRAM = f"ACCEPTED, REFUSED = {ACCEPTED}, {REFUSED}\n{_PROGRAM}"
