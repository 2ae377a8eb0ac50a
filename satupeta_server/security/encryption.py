"""Authenticated encryption of stored credentials.

AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits. The context, which names the record,
is authenticated with it: a value that is copied to another record cannot be read there.
"""

import logging
import os
from collections.abc import Mapping

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from satupeta_server.errors import UnavailableError

logger = logging.getLogger(__name__)

_NONCE_BYTES = 12


class Encryptor:
    """Encrypts with the first key of a ring and decrypts with any of them."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = dict(keys)
        self.key_id = next(iter(self._keys))

    def encrypt(self, values: Mapping[str, str], context: str) -> tuple[str, bytes]:
        """Give the id of the key used, and the nonce and ciphertext."""
        nonce = os.urandom(_NONCE_BYTES)
        cipher = AESGCM(self._keys[self.key_id])
        return self.key_id, nonce + cipher.encrypt(nonce, orjson.dumps(values), context.encode())

    def decrypt(self, key_id: str, ciphertext: bytes, context: str) -> dict[str, str]:
        """Give the values back.

        Raises UnavailableError when the key is not in the ring or the value was altered: the
        log tells the administrator which, and nothing the client could do would mend it.
        """
        if key_id not in self._keys:
            logger.error("ENCRYPTION_KEYS lacks the key %r, which %s needs", key_id, context)
            raise UnavailableError
        nonce, sealed = ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:]
        try:
            text = AESGCM(self._keys[key_id]).decrypt(nonce, sealed, context.encode())
        except (InvalidTag, ValueError):  # ValueError: it is too short to hold a nonce
            logger.exception("the key %r does not open %s", key_id, context)
            raise UnavailableError from None
        values: dict[str, str] = orjson.loads(text)
        return values
