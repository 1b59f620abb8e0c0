"""A flood of signed deliveries, with duplicates and out of order, while web and workers are restarted and killed.

    python -m tests.faults.deliveries [COUNT]

Most of them are of no interest to Assay, one in 40 is a push that has a commit looked at. Every one is sent until it is
acknowledged, as GitHub's are once somebody has them redelivered. `mistakes` are those that were lost or done twice.
"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from uuid import UUID

from bot.demo import payloads
from bot.demo.bare import NO_COMMIT
from bot.demo.github import StandInGitHub
from bot.demo.limits import Limits
from bot.domain.events import CommitReceived
from bot.domain.run import RunKey
from bot.domain.verdict import Conclusion
from bot.github.signature import sign
from bot.redis.embedded import EmbeddedRedis
from tests.faults.evidence import Witness
from tests.faults.history import History, violations
from tests.faults.load import Load
from tests.faults.system import System

CONFIG = """
triggers: {push: ["**"], every_commit: ["**"]}
agents:
  test: {enabled: false}
  lint: {enabled: false}
  security: {enabled: false}
  review: {enabled: false}
  quick: {run: "true", required: true}
"""
_OWNERS = 10
_SENDERS = 8
# One in so many is a push, and one in so many is sent more than once.
_PUSHES = 40
_REPEATED = 3
_WEBS = ("web-1", "web-2")
_WORKERS = ("control", "machine")


@dataclass(frozen=True)
class Letter:
    guid: str
    event: str
    body: bytes
    signature: str

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "X-GitHub-Event": self.event,
            "X-GitHub-Delivery": self.guid,
            "X-Hub-Signature-256": self.signature,
        }


def write_letters(
    github: StandInGitHub, random: Random, count: int
) -> tuple[list[Letter], Mapping[RunKey, Conclusion]]:
    """So many deliveries, always the same for a seed, and what the commits among them have to come to."""
    letters, expected = [], {}
    for number in range(count):
        repository = f"owner{number // _PUSHES % _OWNERS}/repo"
        if number % _PUSHES == 0:
            branch = f"branch-{number}"
            sha = github.commit(repository, branch, {"number.txt": f"{number}\n"})
            payload, event = _push(github, repository, branch, sha), "push"
            expected[RunKey(repository=repository, sha=sha)] = Conclusion.SUCCESS
        else:
            payload, event = {"action": "created", "starred_at": "x" * random.randrange(30_000)}, "star"
            payload |= {"repository": {"full_name": repository}, "installation": {"id": number % _OWNERS + 1}}
        body = json.dumps(payload).encode()
        guid = str(UUID(int=random.getrandbits(128)))
        letters.append(Letter(guid, event, body, sign(body, github.webhook_secret)))
    return letters, expected


def _push(github: StandInGitHub, repository: str, branch: str, sha: str) -> dict[str, object]:
    world = github.world
    with world.lock:
        made = world.repositories[repository]
        return dict(payloads.push(world, made, f"refs/heads/{branch}", NO_COMMIT, sha, world.user("alice")))


def muddle(letters: Sequence[Letter], random: Random) -> list[Letter]:
    """Some of them twice or thrice, all of them in no order."""
    sent = [
        letter for letter in letters for _ in range(random.choice((1, 2, 3)) if random.randrange(_REPEATED) == 0 else 1)
    ]
    random.shuffle(sent)
    return sent


@dataclass
class Mail:
    """Sends letters to one of several ports until they are acknowledged. `answers` are all there were, by GUID; 0 is
    none."""

    ports: Sequence[int]
    answers: dict[str, Counter[int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, letters: Sequence[Letter]) -> None:
        for letter in letters:
            self.answers.setdefault(letter.guid, Counter())
        with ThreadPoolExecutor(_SENDERS) as senders:
            parts = [senders.submit(self._carry, letters[number::_SENDERS], number) for number in range(_SENDERS)]
        for part in parts:
            part.result()

    def _carry(self, letters: Sequence[Letter], number: int) -> None:
        """One connection, another one whenever that breaks."""
        while letters:
            connection = http.client.HTTPConnection("127.0.0.1", self.ports[number % len(self.ports)], timeout=20)
            with closing(connection):
                letters = self._post_all(letters, connection)
            number += 1

    def _post_all(self, letters: Sequence[Letter], connection: http.client.HTTPConnection) -> Sequence[Letter]:
        """What is left when the connection breaks."""
        for done, letter in enumerate(letters):
            status = 503
            while status == 503:
                try:
                    connection.request("POST", "/webhook", letter.body, letter.headers)
                    answer = connection.getresponse()
                    answer.read()
                    status = answer.status
                except (OSError, http.client.HTTPException):
                    status = 0
                with self._lock:
                    self.answers[letter.guid][status] += 1
                if status in (0, 503):
                    time.sleep(0.02)
            if status == 0:
                return letters[done:]
            assert status in (200, 202), f"the delivery {letter.guid} was answered with {status}"
        return ()


@dataclass(frozen=True)
class Flood:
    """What came of it."""

    letters: Sequence[Letter]
    answers: Mapping[str, Counter[int]]
    history: History
    ledger_size: int
    seconds: float
    settled_after: float

    def answered(self, status: int) -> int:
        """How often that was the answer; 0: how often there was none."""
        return sum(answers[status] for answers in self.answers.values())


def mistakes(flood: Flood) -> list[str]:
    """What was lost or doubled, a sentence each. Pure."""
    found = violations(flood.history)
    for letter in flood.letters:
        accepted = flood.answers[letter.guid][202]
        if accepted > 1:
            found.append(f"the delivery {letter.guid} was accepted {accepted} times")
    if flood.ledger_size != len(flood.letters):
        found.append(f"{len(flood.letters)} deliveries were sent, and {flood.ledger_size} are remembered")
    for key, log in flood.history.logs.items():
        received = sum(isinstance(event, CommitReceived) for event in log)
        if received != 1:
            found.append(f"{key} was received {received} times")
    strangers = flood.history.runs.keys() - flood.history.expected.keys()
    return [*found, *(f"there is a run of {key}, which nobody pushed" for key in strangers)]


@contextmanager
def prepared(folder: Path, redis_url: str) -> Iterator[System]:
    """Two processes that take webhooks, and a worker of each kind."""
    # What GitHub's limits do has tests of its own.
    limits = Limits(hourly=10**6, writes_a_minute=10**6, writes_an_hour=10**6)
    with StandInGitHub(limits=limits) as github:
        for number in range(_OWNERS):
            github.add_repository(f"owner{number}/repo", {".github/assay.yml": CONFIG})
        with System(github, folder, redis_url) as system:
            for web in _WEBS:
                system.start(web, "web", ASSAY_INTAKE_LIMIT="100000")
            system.start("control", "worker", "intake", "publish")
            system.start("machine", "worker", "command", "--count", "2")
            system.start("sweep", "sweep")
            for web in _WEBS:
                system.send_webhooks_to(web)
            # What Assay writes is not told of: these deliveries are all there are.
            github.webhook_url = None
            yield system


def flood(system: System, seed: int, count: int, restarts: int, patience: float) -> Flood:
    """Send it all, a part during each restart: of web and workers in turn, by SIGTERM or by SIGKILL."""
    random = Random(seed)
    letters, expected = write_letters(system.github, random, count)
    mail = Mail([system.groups[name].port for name in _WEBS])
    sending = muddle(letters, random)
    began = time.monotonic()
    for number in range(restarts):
        victim = (_WEBS, _WORKERS)[number % 2][number // 2 % 2]
        restart = threading.Thread(target=_restart, args=(system, victim, random.random() < 0.5))
        restart.start()
        mail.send(sending[number::restarts])
        restart.join()
    seconds = time.monotonic() - began
    witness = Witness(system)
    try:
        system.until("all deliveries are dealt with", lambda: _settled(witness, letters), patience)
        history = witness.history(Load(system.github, random, owners=0))
        found = {letter.guid: witness.deliveries.load(letter.guid) for letter in letters}
        ledger = {guid: delivery.outcome for guid, delivery in found.items() if delivery}
        history = replace(history, acknowledged=tuple(mail.answers), ledger=ledger, expected=expected)
        size = sum(1 for _ in witness.redis.scan_iter("assay:delivery:*", count=1000))
    finally:
        witness.close()
    return Flood(letters, mail.answers, history, size, seconds, time.monotonic() - began)


def _restart(system: System, name: str, politely: bool) -> None:
    if politely:
        system.stop(name)
    else:
        system.kill(name)
    system.again(name)


def _settled(witness: Witness, letters: Sequence[Letter]) -> bool:
    if any(witness.leftovers().values()):
        return False
    with witness.redis.pipeline(transaction=False) as pipe:
        for letter in letters:
            pipe.hget(f"assay:delivery:{letter.guid}", "outcome")
        return b"waiting" not in pipe.execute()


def main(count: int, seed: int) -> int:
    with tempfile.TemporaryDirectory(prefix="flood-") as name:
        folder = Path(name)
        with EmbeddedRedis(folder / "redis") as redis, prepared(folder, redis.url) as system:
            done = flood(system, seed, count, restarts=20, patience=1800)
    found = mistakes(done)
    print(
        f"{count:,} deliveries, {len(done.history.expected)} of them pushes, in {done.seconds:.0f} s of 20 restarts "
        f"(seed {seed}): {done.answered(202):,} accepted, {done.answered(200):,} seen before, {done.answered(503):,} "
        f"told to come again, {done.answered(0):,} cut off; all dealt with after {done.settled_after:.0f} s; "
        f"{len(found)} mistakes"
    )
    print(*found[:50], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, seed=1))
