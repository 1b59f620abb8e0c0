"""Conditional requests: an answer that has not changed costs nothing of the rate limit.

Our own, because the cache that comes with githubkit grows without bound and is shared by every App of a process.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

import httpx

ENTRIES = 256
ENTRY_BYTES = 256_000


@dataclass(frozen=True)
class Answer:
    """The body of an answer to GET, and the address of the page after it."""

    content: bytes
    etag: str | None = None
    next_url: str | None = None

    @property
    def next_query(self) -> httpx.QueryParams:
        """The query of the page after it. Of the link only that is taken: a token goes nowhere but where we meant to
        send it."""
        return httpx.URL(self.next_url or "").params


class Etags:
    """The latest answers with an ETag, at most `ENTRIES` of at most `ENTRY_BYTES` each. Always revalidated."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()

    def get(self, key: Hashable) -> Answer | None:
        with self._lock:
            answer = self._answers.get(key)
            if answer is not None:
                self._answers.move_to_end(key)
            return answer

    def keep(self, key: Hashable, answer: Answer) -> None:
        with self._lock:
            self._answers.pop(key, None)
            if answer.etag is None or len(answer.content) > ENTRY_BYTES:
                return
            self._answers[key] = answer
            if len(self._answers) > ENTRIES:
                self._answers.popitem(last=False)
