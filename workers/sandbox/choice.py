"""Which sandbox commands run in: what the operator asks for, else the strongest that works, never less in silence.

`auto` is bubblewrap; else a container, where there is an image for it; or nothing. Where the operator named a runtime,
gVisor's most often, it is a container of that runtime, or nothing. `none` has to be asked for by name: it is for an
operator's own repositories, on a machine that holds nothing else.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal, NoReturn

from bot.domain.glob import matches_any
from bot.errors import NoSandbox, ToolFailed
from config.settings import Settings
from workers.agent import Command, Sandbox
from workers.sandbox.bubblewrap import BubblewrapSandbox
from workers.sandbox.container import ContainerSandbox, Image, clear, engine, examine
from workers.sandbox.engine import Engine, Program
from workers.sandbox.process import ProcessSandbox
from workers.sandbox.registries import Registries, find_registries
from workers.sandbox.toolchains import Toolchains

Kind = Literal["auto", "bubblewrap", "docker", "podman", "none"]
Make = Callable[[threading.Event], Sandbox]
_NEEDED = ("bwrap", "setpriv", "unshare")
_REMEDY = (
    "install bubblewrap and util-linux (apt-get install bubblewrap) and let Assay's user make user namespaces, or set "
    "ASSAY_SANDBOX=none where every repository is the operator's own"
)
_REMEDY_CONTAINER = (
    "install it and util-linux, let Assay's user use it, and pull the image that ASSAY_SANDBOX_IMAGE names, one made "
    "from Assay's own"
)
_PATIENCE = 20.0


@dataclass(frozen=True)
class Containers:
    """What the operator says about containers: the `image` that commands run in, empty for none; globs of the `images`
    that repositories may name instead; and the `runtime`, empty for the engine's usual one."""

    image: str = ""
    images: Sequence[str] = ()
    runtime: str = ""


NO_CONTAINERS = Containers()


@dataclass(frozen=True)
class Choice:
    """`make(cancelled)` makes a sandbox for one agent, and `image_of(name)` gives the `make` of a repository's own
    image, where there are images. `level` and `isolates` are its; `why_not` says what keeps commands from being run at
    all, empty where they can be, and `remedy` what to do about that. `own_mounts`: commands are shown what is mounted
    for nobody but the process that starts them."""

    make: Make
    level: str
    isolates: bool
    why_not: str = ""
    remedy: str = ""
    own_mounts: bool = False
    image_of: Callable[[str], Make] | None = None

    def within(self, image: str, cancelled: threading.Event) -> Sandbox:
        """A sandbox of that image; one in which nothing is executed where it may not or cannot be used."""
        if self.why_not:
            return self.make(cancelled)
        if self.image_of is not None:
            return self.image_of(image)(cancelled)
        remedy = "take `image` out of .github/assay.yml, or have Assay run commands in docker or podman"
        return AbsentSandbox(f"the repository wants the image {image}, and commands run in {self.level} here", remedy)


class AbsentSandbox:
    """Where nothing can be isolated and nobody said that nothing has to be: nothing is executed."""

    level = "none: nothing is executed"
    isolates = True

    def __init__(self, why: str, remedy: str) -> None:
        self._why, self._remedy = why, remedy

    def run(self, command: Command) -> NoReturn:
        raise NoSandbox(f"there is no sandbox for {command.argv[0]}: {self._why}. To mend it: {self._remedy}")

    def which(self, program: str) -> str | None:
        return shutil.which(program)


def choose_by(settings: Settings, path: str) -> Choice:
    """As `choose`, by the settings of this process."""
    containers = Containers(settings.sandbox_image or "", settings.sandbox_images, settings.sandbox_runtime or "")
    return choose(settings.sandbox, path, settings.registries, containers)


def choose(kind: Kind, path: str, registries: Sequence[str] = (), containers: Containers = NO_CONTAINERS) -> Choice:
    """Try what is asked for out, on `path`. `registries` are hosts that a set-up may reach beside the usual ones. Never
    raises: what does not work is told when a command is to be run."""
    known = cache(lambda: find_registries(registries, path))
    if containers.runtime and (kind in ("bubblewrap", "none") or not containers.image):
        return _without_runtime(kind, containers)
    match kind:
        case "none":
            plain = ProcessSandbox(path)
            return Choice(lambda cancelled: ProcessSandbox(path, cancelled=cancelled), plain.level, plain.isolates)
        case "bubblewrap":
            return _bubblewrap(path, known)
        case "docker" | "podman":
            return _container(kind, containers, known)
        case "auto":
            return _strongest(path, known, containers)


def for_files(choice: Choice, path: str) -> Sandbox:
    """What git writes the files of commits in, of which it executes nothing: the same, or a process with limits where
    no sandbox works, so that what needs no tool can still read them."""
    return ProcessSandbox(path) if choice.why_not else choice.make(threading.Event())


def _without_runtime(kind: Kind, containers: Containers) -> Choice:
    """Commands must not run in less than the operator asked for."""
    lacking = "ASSAY_SANDBOX_IMAGE names no image" if not containers.image else f"ASSAY_SANDBOX is {kind}"
    remedy = "unset ASSAY_SANDBOX_RUNTIME, or have containers by ASSAY_SANDBOX and ASSAY_SANDBOX_IMAGE"
    return _absent(f"ASSAY_SANDBOX_RUNTIME is {containers.runtime}, but {lacking}", remedy)


def _strongest(path: str, known: Callable[[], Registries], containers: Containers) -> Choice:
    tried = list[Choice]()
    for choice in _by_strength(path, known, containers):
        if not choice.why_not:
            return choice
        tried.append(choice)
    # That of bubblewrap is what most people want to mend.
    return tried[0]


def _by_strength(path: str, known: Callable[[], Registries], containers: Containers) -> Iterator[Choice]:
    if not containers.runtime:
        yield _bubblewrap(path, known)
    engines: tuple[Program, ...] = ("podman", "docker") if containers.image else ()
    yield from (_container(program, containers, known) for program in engines)


def _absent(why_not: str, remedy: str) -> Choice:
    absent = AbsentSandbox(why_not, remedy)
    return Choice(lambda _: absent, absent.level, absent.isolates, why_not, remedy)


def _bubblewrap(path: str, known: Callable[[], Registries]) -> Choice:
    if why_not := _why_not(path):
        return _absent(why_not, _REMEDY)
    toolchains = Toolchains.of(path)

    def make(cancelled: threading.Event) -> Sandbox:
        return BubblewrapSandbox(path, cancelled=cancelled, registries=known, toolchains=toolchains)

    return Choice(make, BubblewrapSandbox(path, toolchains=toolchains).level, isolates=True, own_mounts=True)


def _why_not(path: str) -> str:
    """Why bubblewrap does not work here; empty when it does. Found out by running something in it."""
    if missing := _missing(_NEEDED):
        return missing
    try:
        done = BubblewrapSandbox(path).run(Command(["/bin/true"], Path("/"), _PATIENCE))
    except (ToolFailed, ValueError) as error:
        return f"bubblewrap does not work here ({error})"
    return "" if done.exit_code == 0 else f"bubblewrap does not work here ({done.stderr.strip()[:200]})"


def _container(program: Program, containers: Containers, known: Callable[[], Registries]) -> Choice:
    """Found out by looking at the operator's image."""
    if missing := _missing((program, "setpriv")):
        return _absent(missing, _REMEDY_CONTAINER)
    if not containers.image:
        return _absent("ASSAY_SANDBOX_IMAGE names no image", _REMEDY_CONTAINER)
    look = cache(partial(examine, own := engine(program, containers.runtime)))
    try:
        clear(program)
        level = ContainerSandbox(own, look(containers.image)).level
    except ToolFailed as error:
        return _absent(f"{program} does not work here ({error})", _REMEDY_CONTAINER)
    image_of = partial(_image_of, own, look, containers, known)
    return Choice(image_of(containers.image), level, isolates=True, image_of=image_of)


def _image_of(
    own: Engine, look: Callable[[str], Image], containers: Containers, known: Callable[[], Registries], name: str
) -> Make:
    if name != containers.image and not matches_any(containers.images, name):
        why = f"the repository wants the image {name}, which the operator of Assay does not allow"
        refused = AbsentSandbox(why, "have it added to ASSAY_SANDBOX_IMAGES, or take `image` out of .github/assay.yml")
        return lambda _: refused
    try:
        image = look(name)
    except ToolFailed as error:
        broken = AbsentSandbox(f"the image {name} does not work here ({error})", _REMEDY_CONTAINER)
        return lambda _: broken
    return lambda cancelled: ContainerSandbox(own, image, cancelled=cancelled, registries=known)


def _missing(programs: Sequence[str]) -> str:
    missing = [name for name in programs if shutil.which(name, path=os.environ.get("PATH", os.defpath)) is None]
    return f"{' and '.join(missing)} is not installed" if missing else ""
