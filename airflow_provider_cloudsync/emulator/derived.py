"""V11-HMAC-SHA256: signatures by a key that is derived from the secret key for one day, region and service.

Worked out here from the facts alone, so that a client's own derivation has something to be held against.
"""

from __future__ import annotations

import hashlib
import hmac

ALGORITHM = "V11-HMAC-SHA256"
#: The one block of the expansion that is needed; it has the length of the hash.
_FIRST_BLOCK = b"\x01"


def derived_key(access_key: str, secret_key: str, info: str) -> str:
    """The key as it is used: not the bytes, but their lower-case hex text.

    :param info: ``{date}/{region}/{service}``.
    """
    extracted = hmac.new(access_key.encode(), secret_key.encode(), hashlib.sha256).digest()
    return hmac.new(extracted, info.encode() + _FIRST_BLOCK, hashlib.sha256).hexdigest()


def signature(access_key: str, secret_key: str, date: str, info: str, canonical: str) -> str:
    """Lower-case hex signature of a canonical request.

    :param date: the whole of X-Sdk-Date.
    """
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{date}\n{info}\n{digest}"
    key = derived_key(access_key, secret_key, info)
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
