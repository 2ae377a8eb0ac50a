"""One first password for all users who come."""

from satupeta_server.errors import InputError
from satupeta_server.security.passwords import broken_password_rule, hash_password


def checked_hash(password: str, rounds: int) -> str:
    """Hash a password; raises InputError for one that breaks the rule.

    It is hashed once for all: that two users have the same one is no secret here.
    """
    problem = broken_password_rule(password)
    if problem is not None:
        raise InputError(f"The first password does not do: {problem.text('en')}")
    return hash_password(password, rounds)
