"""The App's credentials apart from all else: of the processes that are forked from one, only those have them that need
them.

A process cannot lose what it was started with: its first environment stays readable in `/proc`, and memory that was
given back keeps what was in it. So a command that starts processes reads its settings, puts each credential into a file
in memory of its own and all else into another, and executes itself anew with none of it in its environment. What comes
of that, and whatever it forks, has the settings without the credentials. Each child takes out what it names, and closes
the rest; what it never reads was never in its memory.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from config.settings import CREDENTIALS, Settings, load, variable

# Where the process that is executed anew finds its settings: the number of a descriptor. Not ours by its prefix, for it
# is no setting.
_HANDED_OVER = "_ASSAY_SETTINGS"


class Safe:
    """The settings of a process, and the credentials that lie apart: the descriptors of their files, by their fields.
    Without `apart` the settings are all there is."""

    def __init__(self, settings: Settings, apart: Mapping[str, int] | None = None) -> None:
        self.settings = settings
        self._apart = dict(apart or {})

    def holds(self, name: str) -> bool:
        """Whether a field is set, here or apart."""
        return name in self._apart or getattr(self.settings, name) is not None

    def require(self, *names: str) -> None:
        """Raises SettingsError that lists which of these fields are not."""
        self.settings.require(*(name for name in names if not self.holds(name)))

    def unlock(self, *names: str) -> Settings:
        """The settings with the credentials of these names, from now on; all others are out of this process's reach."""
        taken = {name: SecretStr(_text(self._apart[name]).decode()) for name in names if name in self._apart}
        for file in self._apart.values():
            os.close(file)
        self._apart = {}
        self.settings = self.settings.model_copy(update=taken)
        return self.settings


def keep_apart() -> None:
    """Execute this command anew, without the App's credentials, unless that has been done. For the main thread, before
    anything is opened or loaded. Raises SettingsError."""
    if _HANDED_OVER in os.environ:
        return
    chosen = read_settings()
    secrets = {name: value.get_secret_value() for name in CREDENTIALS if (value := getattr(chosen, name)) is not None}
    apart = {name: _file(name, secret.encode()) for name, secret in secrets.items()}
    rest = _file("settings", pickle.dumps((chosen.model_copy(update=dict.fromkeys(secrets)), apart)))
    given = {variable(name) for name in Settings.model_fields}
    environ = {name: value for name, value in os.environ.items() if name not in given}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ | {_HANDED_OVER: str(rest)})  # noqa: S606 - our own command


def open_safe() -> Safe:
    """What this process was handed over, else its own settings, whole. Raises SettingsError."""
    handed_over = os.environ.pop(_HANDED_OVER, "")
    if not handed_over:
        return Safe(read_settings())
    file = int(handed_over)
    settings, apart = pickle.loads(_text(file))  # noqa: S301 - our own words, of a moment ago
    os.close(file)
    for one in apart.values():
        os.set_inheritable(one, False)
    return Safe(settings, apart)


def read_settings() -> Settings:
    """What the environment and `.env` say. Raises SettingsError."""
    return load(os.environ, Path(".env"))


def _file(name: str, text: bytes) -> int:
    file = os.memfd_create(name)
    os.set_inheritable(file, True)
    with open(file, "wb", closefd=False) as opened:
        opened.write(text)
    return file


def _text(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)
