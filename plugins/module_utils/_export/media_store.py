# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Synapse's media store on this host: the files that were uploaded here (synapse/media/filepath.py, 1.163)."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from ansible_collections.matrix_ops.synapse.plugins.module_utils._configuration.homeserver import Configuration
from ansible_collections.matrix_ops.synapse.plugins.module_utils._download import Sink
from ansible_collections.matrix_ops.synapse.plugins.module_utils._errors import ConfigurationError, SynapseError

_PIECE = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
# It follows no link, and does not wait for a writer of a pipe.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class NotInStore(SynapseError):
    """The media store does not provide a file. The message is not a sentence, but the text after "because".

    `forbidden`: this user has no permission to read it.
    """

    def __init__(self, reason: str, *, forbidden: bool = False) -> None:
        super().__init__(reason)
        self.forbidden = forbidden


def find_media_store(configuration: Configuration, working_directory: str | None = None) -> str:
    """Return the directory of the media store. A relative path starts in `working_directory`, that of Synapse.

    Raises ConfigurationError if it is needed and not known.
    """
    path = str(configuration.settings.get("media_store_path") or "media_store")
    if not os.path.isabs(path) and working_directory is None:
        source = configuration.source_of("media_store_path")
        raise ConfigurationError(
            f"The path {path} of the media store{f' in {source}' if source else ', which is the default,'} is relative."
            " Set working_directory to the directory that Synapse runs in, or set media_store_path to an absolute path."
        )
    return os.path.join(working_directory or "", path)


class MediaStore:
    """The media store in the directory `path`, which can be a link. No link in it is followed."""

    def __init__(self, path: str) -> None:
        self.path = path

    def require_readable(self) -> None:
        """Raise SynapseError if this user cannot read the store."""
        try:
            os.close(os.open(self.path, _DIRECTORY))
        except OSError as error:
            raise SynapseError(
                f"The media store {self.path} cannot be read: {error.strerror}. Check media_store_path and"
                " working_directory, and run the task with become, as root or as the user of Synapse."
            ) from error

    def copy(self, media_id: str, file: Sink) -> None:
        """Write the file with the valid `media_id` into `file`.

        Raises NotInStore if it does not exist or cannot be read, and what `file.write` raises.
        """
        with self._opened(media_id) as descriptor:
            while True:
                try:
                    piece = os.read(descriptor, _PIECE)
                except OSError as error:
                    raise NotInStore(f"its file in the media store cannot be read: {error.strerror}") from error
                if not piece:
                    return
                file.write(piece)

    @contextlib.contextmanager
    def _opened(self, media_id: str) -> t.Iterator[int]:
        with contextlib.ExitStack() as opened:
            try:
                descriptor = self._step(opened, self.path, _DIRECTORY, None)
                for name in ("local_content", media_id[:2], media_id[2:4]):
                    descriptor = self._step(opened, name, _DIRECTORY | os.O_NOFOLLOW, descriptor)
                descriptor = self._step(opened, media_id[4:], _FILE, descriptor)
                ordinary = stat.S_ISREG(os.fstat(descriptor).st_mode)
            except FileNotFoundError:
                raise NotInStore("the media store does not have its file") from None
            except OSError as error:
                # For a link where a directory should be, Linux returns ENOTDIR.
                linked = error.errno in (errno.ELOOP, errno.EMLINK, errno.ENOTDIR)
                reason = "it is behind a symbolic link" if linked else error.strerror
                forbidden = isinstance(error, PermissionError)
                raise NotInStore(
                    f"its file in the media store cannot be opened: {reason}", forbidden=forbidden
                ) from error
            if not ordinary:
                raise NotInStore("its path in the media store is not a file")
            yield descriptor

    @staticmethod
    def _step(opened: contextlib.ExitStack, name: str, flags: int, directory: int | None) -> int:
        descriptor = os.open(name, flags, dir_fd=directory)
        opened.callback(os.close, descriptor)
        return descriptor
