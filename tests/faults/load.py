"""What people do while everything goes wrong: they push, and open pull requests, and expect a verdict on each."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import Random

from bot.demo.github import StandInGitHub
from bot.domain.run import RunKey
from bot.domain.verdict import Conclusion

CONFIG = """
agents:
  test: {enabled: false}
  lint: {tools: [ruff]}
  security: {enabled: false}
  review: {enabled: false}
  own: {run: "sleep SECONDS", required: true}
"""


@dataclass
class Load:
    """Work for Assay, the same for the same seed. `expected` is what each commit has to come to; `seconds` is how long
    an agent takes at least."""

    github: StandInGitHub
    random: Random
    owners: int = 3
    repositories: int = 2
    seconds: float = 0.0
    expected: dict[RunKey, Conclusion] = field(default_factory=dict)
    pulls: list[tuple[str, int]] = field(default_factory=list)
    _made: int = 0

    def __post_init__(self) -> None:
        self._names = [f"owner{o}/repo{r}" for o in range(self.owners) for r in range(self.repositories)]
        config = CONFIG.replace("SECONDS", str(self.seconds))
        for name in self._names:
            self.github.add_repository(name, {".github/assay.yml": config})

    def add(self, runs: int = 1, pause: float = 0.0) -> None:
        """So many more commits, every fourth of them in a pull request."""
        for _ in range(runs):
            repository = self.random.choice(self._names)
            self._made += 1
            unused = self.random.choice((0, 0, 1, 3, 60))
            files = {f"part{self._made}.py": _python(unused)}
            if self._made % 4 == 0:
                branch = f"change-{self._made}"
                sha = self.github.commit(repository, branch, files)
                self.pulls.append((repository, self.github.open_pull(repository, branch)))
            else:
                sha = self.github.push(repository, "main", files)
            conclusion = Conclusion.FAILURE if unused else Conclusion.SUCCESS
            self.expected[RunKey(repository=repository, sha=sha)] = conclusion
            time.sleep(pause)

    def redeliver(self) -> int:
        """What the App's owner does by hand: send again what was not acknowledged. How many that were."""
        log = self.github.deliveries
        done = {delivery.guid for delivery in log if delivery.ok}
        failed = {delivery.guid: delivery for delivery in log if delivery.guid not in done}
        for delivery in failed.values():
            self.github.hook.send(delivery.event, delivery.payload, delivery.guid, redelivery=True)
        return len(failed)


def _python(unused: int) -> str:
    """A module with so many findings of the linter; of more than 50, GitHub wants annotations in two parts."""
    return "".join(f"import module{number}\n" for number in range(unused)) + "VALUE = 1\n"
