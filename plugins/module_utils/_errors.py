# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection: it may change in any release.

"""Every error that this collection raises on purpose. One root, so that the runner catches them in one place."""

from __future__ import annotations

import contextlib
import typing as t


class SynapseError(Exception):
    """Something went wrong, told to a person: what happened, where, and what mends it.

    `message` is one clear sentence without secrets; `details` are values that a playbook may look at. `may_be_done`:
    whether what was being done may have been done nevertheless, at least in part.
    """

    may_be_done = False

    def __init__(self, message: str, **details: t.Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return self.message

    def explain(self, sentence: str) -> None:
        """Add a sentence to the message: what the place knows that the error passes through."""
        self.message = f"{self.message} {sentence}"


class InvalidInput(SynapseError):
    """An option holds something that can never work."""


class MissingLibrary(SynapseError):
    """A Python package that the task needs is not there on the host where the module runs."""

    def __init__(self, library: str, purpose: str) -> None:
        super().__init__(f"The Python package {library} is needed {purpose}.")
        self.library = library


class ConfigurationError(SynapseError):
    """The configuration of Synapse cannot be read, or says something that does not fit."""


class StateNotReached(SynapseError):
    """The steps ran without an error, but the server does not show the declared state afterwards."""


class ConnectionFailed(SynapseError):
    """The server could not be reached, or its answer did not arrive whole.

    `sent`: whether the request may have reached it. `waited`: for how many seconds an answer was awaited that did not
    come in time; None if it was something else.
    """

    def __init__(self, message: str, *, sent: bool = True, waited: float | None = None) -> None:
        super().__init__(message)
        self.may_be_done = sent
        self.waited = waited


class UnexpectedAnswer(SynapseError):
    """Something answered, but not as Synapse does: a proxy's page, a redirect, or text that is not JSON."""

    may_be_done = True


class ApiError(SynapseError):
    """Synapse refused a request.

    `status` is the HTTP status, `errcode` Matrix's error code ("" if there is none), `error` Synapse's own words.
    """

    def __init__(self, message: str, *, method: str, url: str, status: int, errcode: str, error: str) -> None:
        request = {"method": method, "url": url}
        super().__init__(message, request=request, status=status, errcode=errcode, error=error)
        self.status = status
        self.errcode = errcode
        self.error = error
        self.may_be_done = status >= 500


class AuthenticationFailed(ApiError):
    """401: the token is missing, unknown, expired or locked out."""


class PermissionDenied(ApiError):
    """403: the caller may not do this, mostly because it is no server admin."""


class NotFound(ApiError):
    """404: the object does not exist."""


class EndpointMissing(ApiError):
    """404 or 405 with M_UNRECOGNIZED: this process does not serve the endpoint."""


class RateLimited(ApiError):
    """429: Synapse asks to wait longer than the task allows."""


@contextlib.contextmanager
def naming_the_request(method: str, url: str) -> t.Iterator[None]:
    """Add the request to the details of an error that is raised in the block, unless one is there already."""
    try:
        yield
    except (InvalidInput, MissingLibrary):
        # It was never sent.
        raise
    except SynapseError as error:
        error.details = {"request": {"method": method, "url": url}, **error.details}
        raise


@contextlib.contextmanager
def after_a_change() -> t.Iterator[None]:
    """Mark what is raised in the block as coming after something has been changed already."""
    try:
        yield
    except SynapseError as error:
        error.may_be_done = True
        raise


def causes(error: BaseException, handled: BaseException | None = None) -> t.Iterator[BaseException]:
    """Yield the error and what it wraps. The libraries wrap errors in several ways.

    `handled`: what was being handled when the work began that failed, which is no cause of it.
    """
    seen: set[int] = {id(handled)}
    waiting: list[t.Any] = [error]
    while waiting:
        current = waiting.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [getattr(current, "reason", None), current.__cause__, current.__context__, *current.args]


def may_pass(error: Exception) -> bool:
    """Whether it is of the kind that a server shows while it is busy or starts anew."""
    if isinstance(error, ApiError):
        return error.status >= 500 or isinstance(error, RateLimited)
    return isinstance(error, (ConnectionFailed, UnexpectedAnswer))


def told(error: Exception) -> SynapseError:
    """Return the error that tells a person what has happened, where nothing nearer to it has found better words.

    It is `error` itself, unless the operating system or a fault in this collection has raised that.
    """
    if isinstance(error, SynapseError):
        return error
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        found = SynapseError(f"{where}{error.strerror or error or type(error).__name__}.")
    else:
        # Its own words may quote an answer, and with it what is nobody's business.
        found = SynapseError(
            f"{type(error).__name__} in {_place_of(error)}, which was not expected. Either the server is not"
            " Synapse, or its version is not supported, or this collection has a bug: report this sentence."
        )
    found.may_be_done = True
    return found


def _place_of(error: Exception) -> str:
    """The file and line of this collection that were reached last."""
    place = "an unknown place"
    trace = error.__traceback__
    while trace is not None:
        file, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        if "plugins/module" in file:
            place = f"{file.rpartition('plugins/')[2]}, line {line}"
        trace = trace.tb_next
    return place
