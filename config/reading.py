"""From texts of `.github/assay.yml` to one configuration, or to everything that is wrong with them.

Layers are merged as trees that remember their places, and checked once, merged: so an organisation may set a part of
an agent and a repository the rest, and a problem still names the file and line that it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pydantic import ValidationError

from config.complaints import problem_at, to_problems
from config.document import Entry, Mapping, Node, Scalar, parse, to_python
from config.problems import Problem
from config.repository import RepositoryConfig
from config.wording import nearest, shown

CONFIG_FILE = ".github/assay.yml"
MAX_PROBLEMS = 50
BUILT_IN_SOURCE = "built-in defaults"


@dataclass(frozen=True)
class Layer:
    """One place a configuration may stand. `name` says for people where it comes from (`organisation acme`), `file` is
    what problems are reported against (layers differ in it), `text` is None where there is no such file."""

    name: str
    file: str
    text: str | None


@dataclass(frozen=True)
class Reading:
    """What was read. `source` says which layers spoke, the strongest first. With `problems`, in the order of layers
    and lines, `config` is the built-in one and nothing should run by it."""

    config: RepositoryConfig
    source: str
    problems: tuple[Problem, ...] = ()


def read(layers: Sequence[Layer]) -> Reading:
    """One configuration from layers over the built-in one, the weakest first.

    Sections are merged key by key; lists and values of a stronger layer replace those of a weaker one, and a key with
    nothing after it takes a value back to its built-in default. Never raises, whatever the texts hold.
    """
    present = [layer for layer in layers if layer.text is not None]
    source = " over ".join(layer.name for layer in reversed(present)) or BUILT_IN_SOURCE
    tree, problems, whole = _built_in(), list[Problem](), True
    for layer in present:
        part, wrong = parse(layer.file, layer.text or "")
        problems += wrong
        if part is None:
            whole = False
        else:
            tree = _merge_sections(tree, part)
    config = RepositoryConfig()
    # Half a configuration would be blamed for what stands in the unreadable half.
    if whole:
        config, more = _check(tree)
        problems += more
    if not problems:
        return Reading(config, source)
    return Reading(RepositoryConfig(), source, _in_order(problems, present))


def default_text() -> str:
    """The built-in layer, as a file with comments that a repository may start from."""
    return resources.files("config").joinpath("default.yml").read_text("utf-8")


@cache
def _built_in() -> Mapping:
    tree, problems = parse("config/default.yml", default_text())
    if tree is None or problems:
        raise RuntimeError(f"the built-in configuration is broken: {problems}")
    return tree


def _merge_sections(weak: Mapping, strong: Mapping) -> Mapping:
    entries = dict(weak.entries)
    for key, entry in strong.entries.items():
        entries[key] = Entry(entry.spot, _merge(entries[key].value, entry.value)) if key in entries else entry
    return Mapping(strong.spot, entries)


def _merge(weak: Node, strong: Node) -> Node:
    if isinstance(weak, Mapping) and isinstance(strong, Mapping):
        return _merge_sections(weak, strong)
    if isinstance(weak, Mapping) and isinstance(strong, Scalar) and strong.value is None:
        return weak
    return strong


def _check(tree: Mapping) -> tuple[RepositoryConfig, list[Problem]]:
    try:
        config = RepositoryConfig.model_validate(to_python(tree))
    except ValidationError as error:
        return RepositoryConfig(), to_problems(error.errors(include_url=False), tree)
    return config, _order_problems(config, tree)


def _order_problems(config: RepositoryConfig, tree: Mapping) -> list[Problem]:
    """`after` must name agents, and must not run in a circle: those would wait for each other for ever."""
    after = {name: agent.after for name, agent in config.agents.by_name().items()}
    problems = []
    for name, earlier in after.items():
        for index, other in enumerate(earlier):
            if other not in after:
                near = nearest(other, after)
                message = f"no agent is called {shown(other)}" + (f"; did you mean '{near}'?" if near else "")
                problems.append(problem_at(tree, ("agents", name, "after", index), message))
        if name in _upstream(name, after):
            message = "the agent would wait for itself, through the agents it waits for; break the circle"
            problems.append(problem_at(tree, ("agents", name, "after"), message))
    return problems


def _upstream(name: str, after: dict[str, tuple[str, ...]]) -> set[str]:
    """Every agent that has to end before this one."""
    seen: set[str] = set()
    todo = list(after[name])
    while todo:
        other = todo.pop()
        if other not in seen:
            seen.add(other)
            todo += after.get(other, ())
    return seen


def _in_order(problems: list[Problem], layers: list[Layer]) -> tuple[Problem, ...]:
    rank = {layer.file: index for index, layer in enumerate(layers)}
    ordered = sorted(dict.fromkeys(problems), key=lambda p: (rank.get(p.file, -1), p.line, p.column))
    if len(ordered) <= MAX_PROBLEMS:
        return tuple(ordered)
    first, rest = ordered[: MAX_PROBLEMS - 1], len(ordered) - MAX_PROBLEMS + 1
    more = Problem(
        file=ordered[-1].file, line=1, column=1, key="", message=f"and {rest} more problems; mend these first"
    )
    return (*first, more)
