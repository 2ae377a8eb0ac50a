"""What can go wrong, as a small family of exceptions, and the one table of their status codes.

Services raise these; the handlers write them as HTTP answers and the command line as sentences.
None of them carries SQL, a path, a secret or a traceback.
"""

from collections.abc import Mapping, Sequence

from satupeta_server.messages import Message

FieldErrors = Mapping[str, Sequence[Message]]


class StartError(Exception):
    """The system cannot start; the text is one sentence that says why and what to do."""


class InputError(Exception):
    """A file, or what was said of it, cannot be used; the text is a sentence that says why."""


class UnreachableError(StartError):
    """The system cannot start because a server does not answer."""


class AppError(Exception):
    """A refusal that its reader can understand: a message and, where known, the fields."""

    default_key = "unexpected"

    def __init__(
        self, key: str | Message | None = None, *, errors: FieldErrors | None = None
    ) -> None:
        self.message = key if isinstance(key, Message) else Message(key or self.default_key)
        self.errors: FieldErrors = errors or {}
        super().__init__(self.message.key)


class BadRequestError(AppError):
    """The request itself cannot be read."""

    default_key = "bad_request"


class NotAuthenticatedError(AppError):
    """Nobody is logged in, and this needs somebody."""

    default_key = "not_authenticated"


class ForbiddenError(AppError):
    """The caller is known, and not allowed to do this."""

    default_key = "forbidden"


class NotFoundError(AppError):
    """There is no such record, or the caller may not know of it."""

    default_key = "not_found"


class MethodNotAllowedError(AppError):
    """The path exists and does not know this method."""

    default_key = "method_not_allowed"


class ConflictError(AppError):
    """The change contradicts what is stored."""

    default_key = "conflict"


class PreconditionFailedError(AppError):
    """If-Match names another revision than the stored one."""

    default_key = "precondition_failed"


class TooLargeError(AppError):
    """The body is over its limit."""

    default_key = "too_large"


class UnsupportedTypeError(AppError):
    """The body, or the file in it, is of a type that is not accepted."""

    default_key = "unsupported_type"


class RangeNotSatisfiableError(AppError):
    """The requested range of a file lies outside it."""

    default_key = "range_not_satisfiable"


class InvalidError(AppError):
    """Fields or parameters have values that cannot be accepted; ``errors`` names each."""

    default_key = "invalid"


class UnavailableError(AppError):
    """A server that this one needs does not answer in time; trying again may help."""

    default_key = "unavailable"


STATUS: Mapping[type[AppError], int] = {
    BadRequestError: 400,
    NotAuthenticatedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    MethodNotAllowedError: 405,
    ConflictError: 409,
    PreconditionFailedError: 412,
    TooLargeError: 413,
    UnsupportedTypeError: 415,
    RangeNotSatisfiableError: 416,
    InvalidError: 422,
    UnavailableError: 503,
    AppError: 500,
}


def invalid(field: str, key: str, /, **parameters: object) -> InvalidError:
    """Make the error of one field, ready to be raised."""
    return InvalidError(errors={field: [Message(key, parameters)]})
