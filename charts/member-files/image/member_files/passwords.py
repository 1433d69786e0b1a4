"""Passwords: how they are kept (scrypt, RFC 7914), made, and judged."""

import base64
import hashlib
import hmac
import secrets

LEAST, MOST = 12, 200
# 16 MiB and some 50 ms for each try (RFC 7914, section 2).
_COST, _BLOCK, _PARALLEL, _MEMORY = 2**14, 8, 1, 64 * 1024 * 1024
_SALT_BYTES, _KEY_BYTES = 16, 32
# A multiple of what RFC 4648 encodes in Base32 without padding.
ONE_TIME_BYTES = 10


def hashed(password: str) -> str:
    """What is kept of ``password``: the salt and the key."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"{salt.hex()}${_key(password, salt=salt).hex()}"


def matches(kept: str, password: str) -> bool:
    """Whether ``kept`` was made from ``password``."""
    salt, _, key = kept.partition("$")
    return hmac.compare_digest(_key(password, salt=bytes.fromhex(salt)), bytes.fromhex(key))


def one_time() -> str:
    """A new password of 80 random bits, in letters and digits that are not mistaken for each other."""
    return base64.b32encode(secrets.token_bytes(ONE_TIME_BYTES)).decode().lower()


def is_good(password: str) -> bool:
    """Whether a password that somebody chose may be one."""
    return LEAST <= len(password) <= MOST


def _key(password: str, *, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=_COST,
        r=_BLOCK,
        p=_PARALLEL,
        maxmem=_MEMORY,
        dklen=_KEY_BYTES,
    )
