"""What `assay check` would do in a repository: the configuration of its working tree, and the plan that follows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bot.domain.plan import Plan, plan
from bot.domain.triggers import Manual
from bot.errors import Theirs
from config.document import MAX_BYTES
from config.reading import CONFIG_FILE, Layer, Reading, read
from workers.desk import LARGEST_NEW_FILE, Desk


def read_file(file: Path) -> str:
    """A configuration file's text, or as much of it as shows that it is too large. Raises Theirs when it cannot be
    read."""
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1).decode("utf-8", "replace")
    except OSError as error:
        raise Theirs(f"{file} cannot be read: {error.strerror}") from None


def read_tree(root: Path) -> Reading:
    """The configuration of a working tree; the built-in one where it has no file."""
    file = root / CONFIG_FILE
    text = read_file(file) if file.exists() or file.is_symlink() else None
    return read([Layer(name=CONFIG_FILE, file=CONFIG_FILE, text=text)])


def orders(desk: Desk, names: Sequence[str] = ()) -> tuple[Plan, Reading]:
    """The plan of a check, and the configuration it comes from: of all agents, or of those with these `names`.

    Raises Theirs for a configuration that is not valid, and for a name that no agent has.
    """
    reading = read_tree(desk.root)
    if reading.problems:
        lines = "\n".join(f"  {problem}" for problem in reading.problems)
        raise Theirs(f"the configuration is not valid:\n{lines}")
    full = plan(reading.config, Manual(), reading.source)
    known = [agent.name for agent in full.agents if not agent.verifies]
    for name in names:
        if name not in known:
            raise Theirs(f"there is no agent {name!r}; there are: {', '.join(known) or 'none'}")
    agents = tuple(
        # Somebody who asks at a desk is asking now: `on` is about GitHub's events.
        agent.model_copy(update={"skip": "", "required": agent.required or agent.name in names})
        for agent in full.agents
        if not names or agent.name in names or agent.verifies in names
    )
    size = f"{LARGEST_NEW_FILE // 1_000_000} MB"
    notices = (f"Not looked at: {path}, a new file of more than {size}." for path in desk.left_out)
    return full.model_copy(update={"agents": agents, "notices": (*full.notices, *notices)}), reading
