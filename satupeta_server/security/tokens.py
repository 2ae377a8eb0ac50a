"""Access and refresh tokens: JSON Web Tokens (RFC 7519) bound to a session."""

import contextlib
import datetime
import uuid
from dataclasses import dataclass
from typing import Any, Literal

import jwt

from satupeta_server.errors import NotAuthenticatedError
from satupeta_server.settings import Settings

TokenType = Literal["access", "refresh"]


@dataclass(frozen=True)
class Claims:
    """What a token says: whose session it belongs to."""

    user_id: uuid.UUID
    session_id: uuid.UUID


class Tokens:
    """Signs tokens with the first key of a ring and reads them with any, by one algorithm."""

    def __init__(self, settings: Settings) -> None:
        self._keys = settings.secret_key_ring()
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
        return jwt.encode(payload, self._keys[0], algorithm=self._algorithm)

    def read(self, token_type: TokenType, token: str, *, expired_too: bool = False) -> Claims:
        """Check a token and give its claims.

        Raises NotAuthenticatedError for a token that is broken, of another type, signed with
        another key or algorithm, or (unless ``expired_too``) expired.
        """
        try:
            payload = self._payload(token, is_expiry_checked=not expired_too)
            if payload["typ"] != token_type:
                raise NotAuthenticatedError
            return Claims(uuid.UUID(payload["sub"]), uuid.UUID(payload["sid"]))
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, RecursionError):
            raise NotAuthenticatedError from None

    def _payload(self, token: str, *, is_expiry_checked: bool) -> dict[str, Any]:
        options: Any = {
            "require": ["sub", "sid", "typ", "exp", "iat"],
            "verify_exp": is_expiry_checked,
        }
        for key in self._keys:
            with contextlib.suppress(jwt.InvalidSignatureError):
                payload: dict[str, Any] = jwt.decode(
                    token, key, algorithms=[self._algorithm], options=options
                )
                return payload
        raise NotAuthenticatedError
