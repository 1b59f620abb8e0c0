"""What a reviewer was answered about the pieces of a change, remembered by what it was shown of them.

A piece (a hunk with what stands around it, see `question.Piece`) is known again by its text, wherever its lines stand
by now and whatever else changes: an answer is kept with the lines that it names counted from the first that was shown,
and told with those that these are now. What was claimed of a piece may be put right by another one, so where there are
claims the answer serves only as long as the change of the whole file is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationError

from bot.domain.model import Frozen
from workers.agent import Memory
from workers.agents.claims import Claim, Review
from workers.agents.question import Piece, Request

# Seconds for which an answer about the same serves again.
_KEPT = 30 * 86_400


class _Kept(Frozen):
    """An answer about a piece, and what the change of its `file` was known by."""

    review: Review
    file: str


@dataclass(frozen=True)
class Answers:
    """Those of one reviewer, which `who` tells from any other, about a change that is read in these `requests`. `look`
    names the new look that a person asked for, for which only what was answered since will do; else it is empty."""

    memory: Memory
    who: tuple[str, ...]
    requests: Sequence[Request]
    look: str = ""

    def recall(self) -> tuple[list[tuple[Request, Review]], list[Request]]:
        """What was answered before of these requests, with the answers; and what is left to be asked of them."""
        keys = [self._key(request, piece) + self._since for request in self.requests for piece in request.pieces]
        texts = iter(self.memory.recall(keys) if keys else ())
        known, left = [], []
        for request in self.requests:
            told = [(piece, self._parse(next(texts), piece)) for piece in request.pieces]
            reviews = [review for _, review in told if review]
            if reviews:
                known.append((request.only(piece for piece, review in told if review), _together(reviews)))
            if len(reviews) < len(told):
                left.append(request.only(piece for piece, review in told if not review))
        return known, left

    def note(self, answered: Iterable[tuple[Request, Review]]) -> None:
        texts: dict[str, str] = {}
        for request, review in answered:
            for piece in request.pieces:
                kept = _Kept(review=_about(piece, review), file=self._files[piece.path])
                key, text = self._key(request, piece), kept.model_dump_json()
                texts |= {key: text, key + self._since: text}
        self.memory.note(texts, _KEPT)

    @property
    def _since(self) -> str:
        return f" {self.look}" if self.look else ""

    def _key(self, request: Request, piece: Piece) -> str:
        judged = "\0".join((*self.who, request.judged(piece)))
        return f"reviewed {_digest(judged)}"

    @cached_property
    def _files(self) -> Mapping[str, str]:
        """What each file is known by: all that is shown of it."""
        bare: dict[str, list[str]] = {}
        for request in self.requests:
            for piece in request.pieces:
                bare.setdefault(piece.path, []).append(piece.bare)
        return {path: _digest("\0".join(texts)) for path, texts in bare.items()}

    def _parse(self, text: str | None, piece: Piece) -> Review | None:
        """What was noted of a piece, with the lines as they are numbered now."""
        if text is None:
            return None
        try:
            kept, lines = _Kept.model_validate_json(text), piece.lines
            claims = kept.review.findings
            if claims and kept.file != self._files[piece.path]:
                return None
            moved = [_moved(claim, lines[claim.start_line], lines[claim.end_line]) for claim in claims]
        except (ValidationError, IndexError):
            # Another version of Assay noted it.
            return None
        return kept.review.model_copy(update={"findings": moved})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _about(piece: Piece, review: Review) -> Review:
    """What an answer says of one of the pieces, with the lines counted."""
    at = {number: index for index, number in enumerate(piece.lines)}
    own = [claim for claim in review.findings if claim.path.strip() == piece.name]
    moved = [_moved(claim, at[claim.start_line], at[claim.end_line]) for claim in own if _is_shown(claim, at)]
    return Review(summary=review.summary, findings=moved)


def _is_shown(claim: Claim, at: dict[int, int]) -> bool:
    return claim.start_line in at and claim.end_line in at


def _moved(claim: Claim, first: int, last: int) -> Claim:
    return claim.model_copy(update={"start_line": first, "end_line": last})


def _together(reviews: Sequence[Review]) -> Review:
    summary = " ".join(dict.fromkeys(review.summary.strip() for review in reviews))
    return Review(summary=summary, findings=[claim for review in reviews for claim in review.findings])
