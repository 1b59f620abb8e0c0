"""Tokens for those who hold no key: an agent's job that has to fetch a commit asks the control process for one.

The App's key lives where tokens are minted. The job makes a pair of keys for the one request, and asks by a job in the
queue `intake`; the answer is a token that reads the run's own repository and nothing else, sealed for that pair
(X25519, HKDF-SHA256, ChaCha20-Poly1305), taken by the first who pops it and gone after a minute. So what Redis, and its
append-only file, ever hold of it nobody can read.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, cast
from uuid import uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from redis import Redis

from bot.domain.run import RunKey, Stored
from bot.errors import AssayError, Gone, Unavailable
from bot.jobs import JobSpec

# Seconds that the answer lies there, and that it is waited for.
_TTL = 60
_PATIENCE = 60.0
_RAW = 32
# A key seals one message, so that its nonce need not differ.
_NONCE = bytes(12)
_TOKEN, _GONE, _TROUBLE = b"t", b"g", b"u"


class Runs(Protocol):
    def load(self, key: RunKey) -> Stored | None: ...


def ask(
    redis: Redis, enqueue: Callable[[JobSpec], None], installation: int, key: RunKey, patience: float = _PATIENCE
) -> str:
    """A token that may read the repository of a run that an agent is at work on. Raises Gone where there is none to be
    had, Unavailable where nobody answers in time or GitHub is away."""
    own, name = X25519PrivateKey.generate(), uuid4().hex
    enqueue(JobSpec.token(key, installation, name, own.public_key().public_bytes_raw().hex()))
    give_up = time.monotonic() + patience
    while time.monotonic() < give_up:
        # One second at a time: a connection's own patience may be short.
        if found := cast("tuple[bytes, bytes] | None", redis.blpop([_key(name)], timeout=1)):
            return _told(_opened(found[1], own, name))
    raise Unavailable(f"no token came within {patience:g} s: is an intake worker running?")


def _told(answer: bytes) -> str:
    kind, words = answer[:1], answer[1:].decode()
    if kind == _TOKEN:
        return words
    raise Gone(words) if kind == _GONE else Unavailable(words)


def answer(redis: Redis, runs: Runs, mint: Callable[[int, str], str], key: RunKey, name: str, public: str) -> None:
    """Give the token that was asked for, `mint(installation, repository)`, if an agent of that run is at work. Which
    installation and repository it is for stands in the run, and not in what was asked."""
    stored = runs.load(key)
    if stored is None or not any(agent.in_flight for agent in stored.run.agents):
        said = _GONE + f"no agent is at work on {key}".encode()
    else:
        try:
            said = _TOKEN + mint(stored.run.installation, stored.run.key.repository).encode()
        except Gone as error:
            said = _GONE + str(error).encode()
        except AssayError as error:
            said = _TROUBLE + str(error).encode()
    sealed = _sealed(said, X25519PublicKey.from_public_bytes(bytes.fromhex(public)), name)
    with redis.pipeline(transaction=True) as pipe:
        pipe.rpush(_key(name), sealed)
        pipe.expire(_key(name), _TTL)
        pipe.execute()


def _sealed(text: bytes, to: X25519PublicKey, name: str) -> bytes:
    own = X25519PrivateKey.generate()
    public = own.public_key().public_bytes_raw()
    return public + _cipher(own.exchange(to), public, to).encrypt(_NONCE, text, name.encode())


def _opened(sealed: bytes, own: X25519PrivateKey, name: str) -> bytes:
    public = sealed[:_RAW]
    try:
        cipher = _cipher(own.exchange(X25519PublicKey.from_public_bytes(public)), public, own.public_key())
        return cipher.decrypt(_NONCE, sealed[_RAW:], name.encode())
    except (InvalidTag, ValueError):
        raise Unavailable("the token that came was sealed for somebody else") from None


def _cipher(shared: bytes, sender: bytes, to: X25519PublicKey) -> ChaCha20Poly1305:
    info = b"assay handover" + sender + to.public_bytes_raw()
    return ChaCha20Poly1305(HKDF(SHA256(), _RAW, None, info).derive(shared))


def _key(name: str) -> str:
    return f"assay:handover:{name}"
