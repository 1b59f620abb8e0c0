"""Webhook signatures: HMAC-SHA256 over the raw body, as GitHub sends it in `X-Hub-Signature-256`.

The SHA-1 header is of no interest here: one algorithm cannot be played off against another.
Source: docs.github.com, "Validating webhook deliveries".
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence


def sign(body: bytes, secret: str) -> str:
    """The header value for this body: `sha256=` and 64 hexadecimal digits."""
    return "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


def verify(body: bytes, header: str | None, secrets: Sequence[str]) -> bool:
    """Whether one of the secrets signed the body. Never raises; without a secret nothing is genuine.

    Every secret is compared, each in constant time, so that the time taken does not tell which one is in use.
    """
    # compare_digest refuses str beyond ASCII, and a header may hold anything.
    presented = (header or "").encode("utf-8", "backslashreplace")
    genuine = False
    for secret in filter(None, secrets):
        genuine |= hmac.compare_digest(sign(body, secret).encode(), presented)
    return genuine
