from __future__ import annotations

from bot.github.etags import ENTRIES, ENTRY_BYTES, Answer, Etags


def test_the_least_used_answer_makes_room() -> None:
    etags = Etags()
    for number in range(ENTRIES):
        etags.keep(number, Answer(b"x", etag=str(number)))
    assert etags.get(0) is not None
    etags.keep("new", Answer(b"x", etag="new"))
    assert etags.get(0) is not None
    assert etags.get(1) is None


def test_large_answers_and_those_without_an_etag_are_not_kept() -> None:
    etags = Etags()
    etags.keep("large", Answer(b"x" * (ENTRY_BYTES + 1), etag="e"))
    etags.keep("bare", Answer(b"x"))
    assert etags.get("large") is None
    assert etags.get("bare") is None


def test_an_answer_that_lost_its_etag_is_forgotten() -> None:
    etags = Etags()
    etags.keep("key", Answer(b"old", etag="e"))
    etags.keep("key", Answer(b"new"))
    assert etags.get("key") is None
