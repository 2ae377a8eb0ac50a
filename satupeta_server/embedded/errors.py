"""The one error of the embedded servers, and how a system error becomes a sentence."""

import errno
from pathlib import Path


class EmbeddedError(Exception):
    """The embedded servers cannot run; `str()` is one sentence: what is wrong and what to do."""


def folder_error(error: OSError, folder: Path) -> EmbeddedError:
    """The sentence for a system error met while working in `folder`."""
    advice = _ADVICE.get(error.errno or 0)
    if advice is None:
        advice = f"cannot be used ({error.strerror or error}): choose another DATA_DIR"
    return EmbeddedError(f"The data folder {folder} {advice}.")


_ANOTHER = "choose another DATA_DIR"
_NO_ROOM = "has no room left on its disk: free some space, or " + _ANOTHER
_NOT_A_FOLDER = "is not a folder, a file stands in its place: move it away, or " + _ANOTHER
_NOT_OURS = "may not be written by this account: give it to this account, or " + _ANOTHER

_ADVICE = {
    errno.EACCES: _NOT_OURS,
    errno.EPERM: _NOT_OURS,
    errno.EROFS: "is on a disk that is mounted read-only: " + _ANOTHER,
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EEXIST: _NOT_A_FOLDER,
    errno.ENOTDIR: _NOT_A_FOLDER,
    errno.ENOLCK: "is on a disk without file locks: put DATA_DIR on a local disk",
}
