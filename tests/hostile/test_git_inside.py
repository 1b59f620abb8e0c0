"""Where git writes a stranger's files: in the sandbox, which is looked at from within, by a git that tells of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bot.errors import ToolFailed
from tests.workers.plumbing import plumb, scribe, tree_of
from workers.agent import Sandbox
from workers.cache import Cache, Limits
from workers.checkout import Checkouts
from workers.entry import remove
from workers.git import Git
from workers.mirrors import Mirror
from workers.sandbox.bubblewrap import BubblewrapSandbox
from workers.sandbox.choice import choose, for_files
from workers.sandbox.process import ProcessSandbox
from workers.sandbox.toolchains import Toolchains
from workers.trees import Trees

PATH = os.environ["PATH"]
WHY_NOT = choose("auto", PATH).why_not
needs_sandbox = pytest.mark.skipif(bool(WHY_NOT), reason=f"no sandbox here: {WHY_NOT}")
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
SETTINGS = {f"GIT_{name}" for name in ("INDEX_FILE", "WORK_TREE", "ATTR_NOSYSTEM", "TERMINAL_PROMPT")}
SETTINGS |= {"GIT_LFS_SKIP_SMUDGE", "GIT_NO_REPLACE_OBJECTS"}
NAMED = {"HOME", "LANG", "PATH", "PWD", "TMPDIR", "SHLVL", "_", "OLDPWD"}
# Stands before the real git on the path, and leaves what it saw beside the index, which is the one other place that is
# git's.
TELLS = """#!/bin/sh
out=$(dirname "$GIT_INDEX_FILE")
for name in cgroup ipc mnt net pid user uts; do echo "$name $(readlink /proc/self/ns/$name)"; done >"$out/namespaces"
cat /proc/self/status >"$out/status"
cat /proc/net/dev >"$out/network"
ulimit -c >"$out/core"
env >"$out/environment"
for place in "{mirror}" "{beside}" /usr /etc; do
  touch "$place/touched" 2>/dev/null && echo "$place"
done >"$out/written"
cat "{secret}" >"$out/secret" 2>/dev/null
exec {git} "$@"
"""
LINKS = """#!/bin/sh
{git} "$@" && ln -s "{secret}" "$GIT_WORK_TREE/link" && mkfifo "$GIT_WORK_TREE/pipe"
"""


class Shop:
    """A repository whose git is another program, and what lies beside its files."""

    def __init__(self, folder: Path, program: str) -> None:
        self.local, self.place = folder / "local", folder / "place"
        self.secret = folder / "secret"
        self.secret.write_text("canary-5a0c")
        self.secret.chmod(0o640)
        for made in (self.local, self.place, folder / "bin"):
            made.mkdir()
        plumb(self.local, "init", "-q", "-b", "main")
        git = folder / "bin" / "git"
        words = {"mirror": self.local / ".git", "beside": self.place, "secret": self.secret, "git": shutil.which("git")}
        git.write_text(program.format(**words))
        git.chmod(0o755)
        self.path = f"{git.parent}:{PATH}"
        self.trees = Trees(Git(self.local / ".git"))

    def seen(self, name: str) -> str:
        return (self.place / "git" / name).read_text()

    def pairs(self, name: str, separator: str = " ") -> Mapping[str, str]:
        return dict(line.split(separator, 1) for line in self.seen(name).splitlines() if separator in line)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("ASSAY_GITHUB_WEBHOOK_SECRET", "canary-5a0c")
    monkeypatch.setenv("https_proxy", "http://somebody:canary-5a0c@proxy.example")
    return Shop(tmp_path, TELLS)


def _outside() -> Mapping[str, str]:
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES}  # noqa: PTH115


def _written(shop: Shop, inside: Sandbox) -> None:
    first = tree_of(shop.local, ("100644", "a.py", b"x = 1\n"))
    shop.trees.write(first, shop.place / "files", scribe(shop.place, inside))


def _turned(shop: Shop, inside: Sandbox) -> None:
    _written(shop, inside)
    shutil.rmtree(shop.place / "git", ignore_errors=True)
    first, second = (tree_of(shop.local, ("100644", "a.py", text)) for text in (b"x = 1\n", b"x = 2\n"))
    by = scribe(shop.place, inside)
    by.index.parent.mkdir()
    assert shop.trees.turn(first, second, shop.place / "files", by)
    assert (shop.place / "files" / "a.py").read_text() == "x = 2\n"


@needs_sandbox
@pytest.mark.parametrize("act", [_written, _turned])
def test_git_that_writes_files_is_in_namespaces_of_its_own_and_reaches_nothing_else(
    shop: Shop, act: Callable[[Shop, Sandbox], None]
) -> None:
    act(shop, BubblewrapSandbox(shop.path))
    inside, outside = shop.pairs("namespaces"), _outside()
    assert set(inside) == set(NAMESPACES)
    assert [name for name in NAMESPACES if inside[name] == outside[name]] == []
    status = {name: value.strip() for name, value in shop.pairs("status", ":").items()}
    assert status["Uid"].split() == ["1000"] * 4
    assert {int(status[f"Cap{which}"], 16) for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    interfaces = [line.split(":")[0].strip() for line in shop.seen("network").splitlines() if ":" in line]
    assert interfaces == ["lo"]
    assert shop.seen("core").strip() == "0"
    names = {name for name in shop.pairs("environment", "=") if not name.startswith("GIT_CONFIG")}
    assert names <= {*NAMED, *SETTINGS, *Toolchains.of(shop.path).env}
    assert "canary" not in shop.seen("environment")
    assert (shop.seen("written"), shop.seen("secret")) == ("", "")


def test_without_the_sandbox_the_same_git_sees_and_writes_all_of_that(shop: Shop) -> None:
    _written(shop, ProcessSandbox(shop.path))
    assert shop.pairs("namespaces") == _outside()
    assert str(shop.local / ".git") in shop.seen("written")
    assert shop.seen("secret") == "canary-5a0c"


@needs_sandbox
def test_links_that_a_git_gone_wrong_leaves_lead_nobody_outside(tmp_path: Path) -> None:
    shop = Shop(tmp_path, LINKS)
    tree = tree_of(shop.local, ("100644", "a.py", b"x = 1\n"))
    commit = plumb(shop.local, "commit-tree", tree, "-m", "one")
    mirror = Mirror("shop", Git(shop.local / ".git"), lambda _commits, _depth: None)
    cache = Cache(tmp_path / "work", Limits(10**9, 3600))
    modes = shop.secret.stat().st_mode
    for inside in (BubblewrapSandbox(shop.path), ProcessSandbox(shop.path)):
        checkouts = Checkouts(cache, inside)
        with pytest.raises(ToolFailed, match="neither a file nor a folder"), checkouts.shared(mirror, commit):
            pass
    assert shop.secret.stat().st_mode == modes
    remove(tmp_path / "work")


def test_files_are_assays_and_nobodys_who_runs_commands(tmp_path: Path) -> None:
    shop = Shop(tmp_path, '#!/bin/sh\nexec {git} "$@"\n')
    mirror = Mirror("shop", Git(shop.local / ".git"), lambda _commits, _depth: None)
    cache = Cache(tmp_path / "work", Limits(10**9, 3600))
    commits = []
    for text in (b"x = 1\n", b"x = 2\n"):
        tree = tree_of(shop.local, ("100644", "a.py", text), ("100755", "run", b""))
        commits.append(plumb(shop.local, "commit-tree", tree, "-m", "one"))
    checkouts = Checkouts(cache, for_files(choose("auto", shop.path), shop.path))
    for commit in commits:
        with checkouts.shared(mirror, commit) as files:
            assert {path.lstat().st_uid for path in (files, *files.rglob("*"))} == {os.geteuid()}
    remove(tmp_path / "work")


def test_where_no_sandbox_works_files_are_written_by_a_process_with_limits(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is written nothing is executed, and who needs no tool can read it."""
    with monkeypatch.context() as bare:
        bare.setenv("PATH", str(tmp_path))
        choice = choose("auto", shop.path)
    assert choice.why_not
    inside = for_files(choice, shop.path)
    assert not inside.isolates
    _written(shop, inside)
    assert (shop.place / "files" / "a.py").read_text() == "x = 1\n"
    assert "canary" not in shop.seen("environment")
