"""Mirrors: what is fetched, how little of it, and what is there after a fetch that went wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.demo.github import StandInGitHub
from bot.errors import Gone, Refused, ToolFailed
from workers.cache import Cache, Limits
from workers.git import _HARDENED, Git
from workers.mirrors import Mirrors

REPO = "octo/demo"
LIMITS = Limits(10**9, 3600)


@pytest.fixture
def github() -> Iterator[StandInGitHub]:
    with StandInGitHub() as github:
        github.add_repository(REPO, {"a.txt": "one\n", "folder/b.txt": "two\n"}, private=False)
        yield github


@pytest.fixture
def mirrors(tmp_path: Path, github: StandInGitHub) -> Mirrors:
    return Mirrors(Cache(tmp_path, LIMITS), f"{github.url}/")


def git_dir(tmp_path: Path, mirrors: Mirrors) -> Path:
    return tmp_path / "mirrors" / mirrors.name(REPO) / "kept"


def files(mirrors: Mirrors, *commits: str) -> tuple[str, ...]:
    """Those of the first, once all were fetched."""
    with mirrors.fetch(REPO, commits, lambda: None) as mirror:
        return mirror.files(commits[0])


def fetched(github: StandInGitHub) -> int:
    """How often objects were asked for."""
    return sum(request.path.endswith("git-upload-pack") and request.method == "POST" for request in github.git_requests)


def test_commits_are_fetched_once_and_without_their_history(
    github: StandInGitHub, mirrors: Mirrors, tmp_path: Path
) -> None:
    first = github.head(REPO, "main")
    base = github.commit(REPO, "main", {"b.txt": "more\n"})
    sha = github.commit(REPO, "main", {"a.txt": "changed\n"})
    files(mirrors, sha, base)
    assert fetched(github) > 0
    before = len(github.git_requests)
    with mirrors.fetch(REPO, (sha, base), lambda: None) as mirror:
        assert mirror.diff(base, sha).paths == ("a.txt",)
    assert len(github.git_requests) == before
    with pytest.raises(ToolFailed):
        Git(git_dir(tmp_path, mirrors)).run("cat-file", "-e", first)


def test_only_what_is_new_is_sent(github: StandInGitHub, mirrors: Mirrors, tmp_path: Path) -> None:
    large = {f"{number}.bin": os.urandom(10_000) for number in range(20)}
    github.commit(REPO, "main", large)
    files(mirrors, github.head(REPO, "main"))
    packs = git_dir(tmp_path, mirrors) / "objects" / "pack"
    first = {pack: pack.stat().st_size for pack in packs.glob("*.pack")}
    assert sum(first.values()) > 200_000
    for head in ("next", "forced", "forked"):
        # From a child, from the child of a commit that is not there, and from a fork.
        if head == "next":
            sha = github.commit(REPO, "main", {"a.txt": "next\n"})
        elif head == "forced":
            github.commit(REPO, "main", {"a.txt": "never fetched\n"})
            sha = github.commit(REPO, "main", {"a.txt": "forced\n"})
        else:
            sha = github.commit(github.fork(REPO, "mallory"), "feature", {"a.txt": "forked\n"})
            github.open_pull(REPO, "feature", head_repo="mallory/demo")
        files(mirrors, sha)
    new = {pack: pack.stat().st_size for pack in packs.glob("*.pack") if pack not in first}
    assert len(new) == 3
    assert sum(new.values()) < 5_000


def test_commits_long_past_and_of_other_branches_are_whole(github: StandInGitHub, mirrors: Mirrors) -> None:
    shas = [github.commit(REPO, "main", {"a.txt": f"{number}\n", f"{number}.txt": "x"}) for number in range(4)]
    for sha in (shas[3], shas[0], shas[2], shas[1]):
        files(mirrors, sha)
    with mirrors.fetch(REPO, tuple(shas), lambda: None) as mirror:
        for number, sha in enumerate(shas):
            assert len(mirror.files(sha)) == 3 + number
        assert mirror.diff(shas[0], shas[2]).paths == ("1.txt", "2.txt", "a.txt")


def test_commit_that_no_branch_has_is_fetched_by_name(github: StandInGitHub, mirrors: Mirrors) -> None:
    fork = github.fork(REPO, "mallory")
    sha = github.commit(fork, "feature", {"a.txt": "theirs\n"})
    github.open_pull(REPO, "feature", head_repo=fork)
    assert files(mirrors, sha) == ("a.txt", "folder/b.txt")


def test_unknown_commit_is_gone_and_a_hidden_repository_refused(github: StandInGitHub, mirrors: Mirrors) -> None:
    with pytest.raises(Gone):
        files(mirrors, "f" * 40)
    with pytest.raises(Gone, match="not the names of commits"):
        files(mirrors, "main")
    github.add_repository("octo/private", {"a.txt": "x"})
    sha = github.head("octo/private", "main")
    with pytest.raises(Refused), mirrors.fetch("octo/private", (sha,), lambda: None):
        pass


@pytest.fixture
def _old_server(github: StandInGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that speaks the first version of the protocol, and gives commits by the names of references only."""
    github.api.world.repositories[REPO].git.run("config", "uploadpack.allowAnySHA1InWant", "false")
    monkeypatch.setitem(_HARDENED, "protocol.version", "0")


@pytest.mark.usefixtures("_old_server")
def test_server_that_gives_no_commits_by_name_is_asked_for_all_heads(github: StandInGitHub, mirrors: Mirrors) -> None:
    sha = github.head(REPO, "main")
    github.commit(REPO, "main", {"a.txt": "changed\n"})
    assert files(mirrors, sha) == ("a.txt", "folder/b.txt")
    with pytest.raises(Gone):
        files(mirrors, "f" * 40)


# -- what went wrong before


def test_leftovers_of_a_git_that_was_killed_are_no_obstacle(
    github: StandInGitHub, mirrors: Mirrors, tmp_path: Path
) -> None:
    files(mirrors, github.head(REPO, "main"))
    mirror = git_dir(tmp_path, mirrors)
    sha = github.commit(REPO, "main", {"a.txt": "changed\n"})
    left = [mirror / "shallow.lock", mirror / f"refs/assay/commits/{sha}.lock", mirror / "objects/pack/tmp_pack_x"]
    for path in left:
        path.touch()
    assert files(mirrors, sha)
    assert not any(path.exists() for path in left)


def test_mirror_that_was_never_finished_is_made_anew(github: StandInGitHub, mirrors: Mirrors, tmp_path: Path) -> None:
    (git_dir(tmp_path, mirrors).with_name("new") / "objects").mkdir(parents=True)
    assert files(mirrors, github.head(REPO, "main"))


def test_mirror_that_is_damaged_is_made_anew(github: StandInGitHub, mirrors: Mirrors, tmp_path: Path) -> None:
    first = github.head(REPO, "main")
    files(mirrors, first)
    for pack in (git_dir(tmp_path, mirrors) / "objects" / "pack").iterdir():
        pack.unlink()
    sha = github.commit(REPO, "main", {"a.txt": "changed\n"})
    assert files(mirrors, sha) == ("a.txt", "folder/b.txt")
    with pytest.raises(ToolFailed):
        files(mirrors, first)
    assert files(mirrors, first) == ("a.txt", "folder/b.txt")


def test_fetch_that_failed_half_way_is_made_up_for(github: StandInGitHub, mirrors: Mirrors) -> None:
    sha = github.head(REPO, "main")
    github.fail("reset", path="git-upload-pack", times=2)
    with pytest.raises(Exception, match="git fetch"):
        files(mirrors, sha)
    github.api.faults.pending.clear()
    assert files(mirrors, sha)


def test_four_agents_at_once_fetch_once(github: StandInGitHub, mirrors: Mirrors) -> None:
    sha = github.head(REPO, "main")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: files(mirrors, sha), range(4)))
    assert found == [("a.txt", "folder/b.txt")] * 4
    assert fetched(github) == 1


def test_servers_do_not_share_a_mirror(tmp_path: Path) -> None:
    cache = Cache(tmp_path, LIMITS)
    names = {Mirrors(cache, url).name(REPO) for url in ("https://one.example", "https://two.example/git")}
    assert names == {"one.example,octo,demo", "two.example,git,octo,demo"}


# -- upkeep


def test_many_packs_become_few_and_old_commits_are_forgotten(
    github: StandInGitHub, mirrors: Mirrors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.mirrors._PACKS", 4)
    monkeypatch.setattr("workers.mirrors._KEPT_COMMITS", 2)
    shas = [github.commit(REPO, "main", {"a.txt": f"{number}\n"}) for number in range(6)]
    for age, sha in enumerate(shas):
        files(mirrors, sha)
        os.utime(git_dir(tmp_path, mirrors) / "refs/assay/commits" / sha, (age, age))
    packs = git_dir(tmp_path, mirrors) / "objects" / "pack"
    assert len(list(packs.glob("*.pack"))) == 6
    with mirrors.fetch(REPO, (shas[0],), lambda: None) as mirror:
        # In use: it is packed, and nothing is forgotten.
        mirrors.tidy()
        assert len(list(packs.glob("*.pack"))) == 1
        assert mirror.diff(shas[0], shas[5]).paths == ("a.txt",)
    monkeypatch.setattr("workers.mirrors._PACKS", 0)
    mirrors.tidy()
    assert (git_dir(tmp_path, mirrors) / "shallow").read_text().split() == sorted([shas[0], shas[5]])
    before = fetched(github)
    assert files(mirrors, shas[5], shas[0])
    assert fetched(github) == before
    assert files(mirrors, shas[2])


def test_mirror_that_is_being_fetched_into_is_left_alone(
    github: StandInGitHub, mirrors: Mirrors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.mirrors._PACKS", 0)
    files(mirrors, github.head(REPO, "main"))
    entry = Cache(tmp_path, LIMITS).entries("mirrors")[0]
    left = entry.kept / "shallow.lock"
    with entry.used(), entry.changed():
        left.touch()
        mirrors.tidy()
        assert left.exists()
