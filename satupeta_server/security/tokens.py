"""Access and refresh tokens: JSON Web Tokens (RFC 7519) bound to a session."""

import datetime
import uuid
from dataclasses import dataclass
from typing import Literal

import jwt

from satupeta_server.errors import NotAuthenticatedError, StartError
from satupeta_server.settings import Settings

TokenType = Literal["access", "refresh"]


@dataclass(frozen=True)
class Claims:
    """What a token says: whose session it belongs to."""

    user_id: uuid.UUID
    session_id: uuid.UUID


class Tokens:
    """Signs and reads tokens with the one configured algorithm."""

    def __init__(self, settings: Settings) -> None:
        if settings.secret_key is None:
            raise StartError("SECRET_KEY is not set.")
        self._key = settings.secret_key.get_secret_value()
        self._algorithm = settings.algorithm

    def sign(self, token_type: TokenType, claims: Claims, expires_at: datetime.datetime) -> str:
        """Make a token that is valid at once and until ``expires_at``."""
        payload = {
            "sub": str(claims.user_id),
            "sid": str(claims.session_id),
            "typ": token_type,
            "exp": int(expires_at.timestamp()),
            "iat": int(datetime.datetime.now(datetime.UTC).timestamp()),
            # Two tokens of one second would otherwise be the same text.
            "jti": uuid.uuid4().hex[:12],
        }
        return jwt.encode(payload, self._key, algorithm=self._algorithm)

    def read(self, token_type: TokenType, token: str, *, expired_too: bool = False) -> Claims:
        """Check a token and give its claims.

        Raises NotAuthenticatedError for a token that is broken, of another type, signed with
        another key or algorithm, or (unless ``expired_too``) expired.
        """
        try:
            payload = jwt.decode(
                token,
                self._key,
                algorithms=[self._algorithm],
                options={
                    "require": ["sub", "sid", "typ", "exp", "iat"],
                    "verify_exp": not expired_too,
                },
            )
            if payload["typ"] != token_type:
                raise NotAuthenticatedError
            return Claims(uuid.UUID(payload["sub"]), uuid.UUID(payload["sid"]))
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, RecursionError):
            raise NotAuthenticatedError from None
