"""Where a scenario is played: a stand-in GitHub, a Redis, an Assay, people at work, and who tells how it went."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from bot.demo.github import StandInGitHub
from bot.demo.limits import Limits
from bot.errors import AssayError
from tests.faults.evidence import Witness
from tests.faults.figures import Figures
from tests.faults.history import History, prevented, violations
from tests.faults.journal import begun_again, recoveries
from tests.faults.load import Load
from tests.faults.outages import SmallDisk
from tests.faults.system import System
from tests.servers import Server

_ANY = 10**9
# How often it is looked whether something is left over for good.
_LOOKS = 3
# What Redis is told to do with every write, as an operator is told to set it.
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


@dataclass
class Stage:
    """All of it. `patience` is how long whatever was put off may take to come to its end, in seconds."""

    name: str
    seed: int
    folder: Path
    github: StandInGitHub
    redis: Server | None
    system: System
    load: Load
    disk: SmallDisk | None = None
    patience: float = 60.0
    random: Random = field(init=False)
    began: float = field(default_factory=time.monotonic)
    redis_kills: int = 0
    _witness: Witness | None = None

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed} {self.name}")

    @property
    def witness(self) -> Witness:
        if self._witness is None:
            self._witness = Witness(self.system)
        return self._witness

    def close(self) -> None:
        if self._witness is not None:
            self._witness.close()

    def ready(self) -> None:
        """Wait until everybody who was started is at work."""
        wanted = sum(group.workers for group in self.system.groups.values() if group.process.poll() is None)
        self.system.until(f"{wanted} workers live", lambda: self.witness.living() >= wanted)

    def in_hand(self, workers: Collection[int]) -> bool:
        """Whether one of these workers has begun a job and not ended it."""
        entries = (entry for entry in self.system.journal.read() if {entry.pid, entry.parent} & set(workers))
        jobs = {(entry.pid, entry.name): entry.what for entry in entries}
        return "began" in jobs.values()

    def kill_redis(self, away: float) -> None:
        """And have it come back: after so many seconds, or when the supervisor starts it again."""
        if self.redis is None:
            self.system.kill_redis()
        else:
            self.redis.kill()
            time.sleep(away)
            self.redis.start()
        self.redis_kills += 1

    def kills(self) -> int:
        """How many processes have been killed or have died at a crash point so far."""
        dead = {entry.pid for entry in self.system.journal.read() if entry.what in ("killed", "crashed")}
        return len(dead) + self.redis_kills

    def settle(self) -> None:
        """Wait until nobody has anything to do. If that does not come, the history says so."""
        give_up = time.monotonic() + self.patience
        while not self.witness.settled() and time.monotonic() < give_up:
            time.sleep(0.1)

    def _at_rest(self) -> History:
        """The history when nobody has anything to do. The lookout finds something to do by itself, now and then, also
        while the history is gathered: what is left over has to be so more than once."""
        for _ in range(_LOOKS):
            self.settle()
            history = self.witness.history(self.load)
            if not history.leftovers and "waiting" not in history.ledger.values():
                break
        return history

    def conclude(self) -> Figures:
        """How it went, when what was not acknowledged has been sent again and everything has come to its end. What was
        given up is judged as it stands, and then done again, as an operator would."""
        self.load.redeliver()
        history = self._at_rest()
        given_up, found = tuple(self.witness.dead), list[str]()
        if given_up:
            # A commit that was given up has no run; the ledger says so, for its delivery.
            found = violations(replace(history, expected={}))
            for letter in given_up:
                self.witness.dead.retry(letter)
            history = self._at_rest()
        return Figures(
            name=self.name,
            runs=len(history.runs),
            webhooks=len(history.acknowledged),
            kills=self.kills(),
            recoveries=tuple(recoveries(history.journal)),
            again=begun_again(history.journal),
            dead=len(given_up),
            prevented=sum(map(prevented, history.runs.values())),
            seconds=time.monotonic() - self.began,
            violations=(*found, *violations(history)),
        ).judged()


@contextmanager
def stage(name: str, seed: int, *, embedded: bool = False, seconds: float = 0.0) -> Iterator[Stage]:
    """Set it up. `embedded`: Assay runs a Redis of its own; `seconds` is how long an agent takes. What is seen of a
    failure is told with the seed."""
    with ExitStack() as stack:
        # Not pytest's own folder: a unix socket's path must be short.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-f-", ignore_cleanup_errors=True)))
        # GitHub's own limits would make a night of it. They have tests of their own.
        github = stack.enter_context(StandInGitHub(limits=Limits(_ANY, _ANY, _ANY, 1000)))
        redis = None if embedded else stack.enter_context(Server(folder, *DURABLE))
        load = Load(github, Random(f"{seed} {name} load"), seconds=seconds)
        system = stack.enter_context(System(github, folder, redis.url if redis else ""))
        made = Stage(name, seed, folder, github, redis, system, load)
        stack.callback(made.close)
        try:
            yield made
        except (AssertionError, AssayError, OSError) as error:
            error.add_note(f"scenario {name!r}, seed {seed}; the end of Assay's log:\n{system.tail()}")
            raise
