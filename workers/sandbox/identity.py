"""Who a sandboxed process is: nobody's user, in a user namespace of its own.

When Assay is root, a command runs under a user id that nothing else has: outside as well as inside. The namespace knows
root too, so that bubblewrap may mount what only root can reach before it gives that up. When Assay is an ordinary user
there is no other id to be had: bubblewrap makes a namespace in which the command is that user under another number.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

from bot.errors import ToolFailed

# Inside and, when Assay is root, outside: beyond what people and services get.
INSIDE, OUTSIDE = 1000, 64_123
# Of a command: root, so that bubblewrap may mount, and its own. Of a file: root's are the command's.
_COMMANDS, _FILES = f"0 0 1\n{INSIDE} {OUTSIDE} 1\n", f"0 {OUTSIDE} 1\n"


def owner() -> int | None:
    """Whose the files have to be that a command may write to; None where they are already."""
    return OUTSIDE if os.geteuid() == 0 else None


def user_namespace() -> int:
    """A descriptor of the user namespace for commands of this process, made at the first call; for root only.

    Raises ToolFailed where the kernel does not allow it.
    """
    return _namespace(_COMMANDS)


def files_to_commands() -> int:
    """The same of one by which root's files are shown as the commands' own."""
    return _namespace(_FILES)


@cache
def _namespace(ids: str) -> int:
    maker = subprocess.Popen(
        ["unshare", "--user", "sh", "-c", "echo; read -r _"],  # noqa: S607 - the one on PATH is meant
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with maker:
        assert maker.stdout is not None
        assert maker.stderr is not None
        if not maker.stdout.readline():
            words = maker.stderr.read().decode("utf-8", "replace").strip()
            raise ToolFailed(f"a user namespace cannot be made: {words[:300]}")
        own = Path("/proc", str(maker.pid))
        try:
            (own / "uid_map").write_text(ids)
            (own / "gid_map").write_text(ids)
            return os.open(own / "ns" / "user", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ToolFailed(f"a user namespace cannot be made: {error}") from None
        finally:
            maker.kill()
