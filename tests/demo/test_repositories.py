"""Contents, comparisons, commits and refs, from real git objects; and git itself over HTTP."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest

from bot.demo.github import StandInGitHub
from tests.demo.client import FILES, REPO, Client, basic, with_token

BASE = f"/repos/{REPO}"


def test_repository_tells_its_default_branch_and_clone_url(github: StandInGitHub, client: Client) -> None:
    told = client.ok("GET", BASE)
    assert (told["default_branch"], told["private"], told["owner"]["type"]) == ("main", True, "Organization")
    assert told["clone_url"] == f"{github.url}/{REPO}.git"
    assert client.ok("GET", "/repos/OCTO/Demo")["id"] == told["id"]


def test_contents_are_base64_or_raw(client: Client) -> None:
    told = client.ok("GET", f"{BASE}/contents/app.py")
    assert base64.b64decode(told["content"]).decode() == FILES["app.py"]
    assert (told["type"], told["size"], told["encoding"]) == ("file", len(FILES["app.py"]), "base64")
    raw = client.get(f"{BASE}/contents/app.py?ref=main", accept="application/vnd.github.raw+json")
    assert raw.text == FILES["app.py"]
    listed = client.ok("GET", f"{BASE}/contents")
    assert [(entry["path"], entry["type"]) for entry in listed] == [("app.py", "file"), ("docs", "dir")]


def test_contents_at_a_ref(github: StandInGitHub, client: Client) -> None:
    old = github.head(REPO, "main")
    github.push(REPO, "main", {"app.py": None, "new name.py": "é\n"})
    assert client.get(f"{BASE}/contents/app.py").status_code == 404
    assert client.get(f"{BASE}/contents/app.py?ref={old}").status_code == 200
    assert client.ok("GET", f"{BASE}/contents/new%20name.py")["path"] == "new name.py"
    assert client.get(f"{BASE}/contents/app.py?ref=gone").status_code == 404


def test_large_file_comes_raw_only(github: StandInGitHub, client: Client) -> None:
    github.push(REPO, "main", {"big.bin": b"\0" * ((1 << 20) + 1)})
    told = client.ok("GET", f"{BASE}/contents/big.bin")
    assert (told["encoding"], told["content"]) == ("none", "")
    assert len(client.get(f"{BASE}/contents/big.bin", accept="application/vnd.github.raw+json").content) > 1 << 20


def test_comparison_is_against_the_merge_base(github: StandInGitHub, client: Client, pull: int) -> None:
    told = client.ok("GET", f"{BASE}/compare/main...topic")
    assert (told["status"], told["ahead_by"], told["behind_by"]) == ("diverged", 1, 1)
    assert told["merge_base_commit"]["sha"] not in (github.head(REPO, "main"), github.head(REPO, "topic"))
    assert [file["filename"] for file in told["files"]] == ["app.py"]
    assert client.ok("GET", f"{BASE}/compare/main...main")["status"] == "identical"
    assert client.ok("GET", f"{BASE}/compare/octo:main...octo:topic")["ahead_by"] == 1
    assert client.get(f"{BASE}/compare/main...gone").status_code == 404
    assert client.get(f"{BASE}/compare/main").status_code == 404


def test_comparison_shows_every_kind_of_change(github: StandInGitHub, client: Client) -> None:
    long = "".join(f"{number}\n" for number in range(99))
    github.push(REPO, "main", {"old name.py": long, "gone.py": "x\n", "data.bin": b"\0\1"})
    files = {"old name.py": None, "new name.py": long + "more\n", "gone.py": None, "data.bin": b"\0\2", "empty.txt": ""}
    github.push(REPO, "topic", files)
    told = {file["filename"]: file for file in client.ok("GET", f"{BASE}/compare/main...topic")["files"]}
    assert {name: file["status"] for name, file in told.items()} == {
        "new name.py": "renamed",
        "gone.py": "removed",
        "data.bin": "modified",
        "empty.txt": "added",
    }
    assert told["new name.py"]["previous_filename"] == "old name.py"
    assert (told["new name.py"]["additions"], told["new name.py"]["patch"][-5:]) == (1, "+more")
    assert "patch" not in told["data.bin"]


def test_comparison_shows_300_files_at_most(github: StandInGitHub, client: Client) -> None:
    github.push(REPO, "topic", {f"many/{number}.txt": "x\n" for number in range(301)})
    assert len(client.ok("GET", f"{BASE}/compare/main...topic")["files"]) == 300
    assert client.ok("GET", f"{BASE}/compare/main...topic?page=2")["files"] == []


def test_commit_branch_and_ref(github: StandInGitHub, client: Client) -> None:
    sha = github.push(REPO, "feature/x", {"b.py": "b\n"}, "Add b\n\nWith reasons.")
    told = client.ok("GET", f"{BASE}/commits/feature/x")
    assert (told["sha"], told["commit"]["message"], told["stats"]["additions"]) == (sha, "Add b\n\nWith reasons.", 1)
    assert (told["author"]["login"], told["commit"]["author"]["name"]) == ("alice", "alice")
    assert client.get(f"{BASE}/commits/{sha}", accept="application/vnd.github.sha").text == sha
    assert client.ok("GET", f"{BASE}/branches/feature/x")["commit"]["sha"] == sha
    assert client.ok("GET", f"{BASE}/git/ref/heads/feature/x")["object"] == {
        "sha": sha,
        "type": "commit",
        "url": f"{github.api_url}{BASE}/git/commits/{sha}",
    }
    assert client.get(f"{BASE}/commits/gone").status_code == 422
    assert client.get(f"{BASE}/branches/gone").status_code == 404
    assert client.get(f"{BASE}/git/ref/heads/gone").status_code == 404


def test_activity_tells_how_branches_moved(github: StandInGitHub, client: Client) -> None:
    first = github.push(REPO, "topic", {"b.py": "b\n"})
    second = github.push(REPO, "topic", {"b.py": "c\n"})
    forced = github.push(REPO, "topic", {"b.py": "d\n"}, parent=first)
    github.push(REPO, "main", {"docs/more.md": "more\n"})
    github.delete_branch(REPO, "topic")
    moves = client.ok("GET", f"{BASE}/activity?ref=refs/heads/topic")
    assert [(move["activity_type"], move["before"], move["after"]) for move in moves] == [
        ("branch_deletion", forced, "0" * 40),
        ("force_push", second, forced),
        ("push", first, second),
        ("branch_creation", "0" * 40, first),
    ]
    assert len(client.ok("GET", f"{BASE}/activity")) == 5
    page = client.get(f"{BASE}/activity?ref=topic&per_page=3")
    rest = client.http.get(page.links["next"]["url"], headers=client.headers)
    assert page.json() + rest.json() == moves
    assert "next" not in rest.links


def test_merge_is_an_activity_of_its_own(github: StandInGitHub, client: Client, pull: int) -> None:
    github.close_pull(REPO, pull, merged=True)
    assert client.ok("GET", f"{BASE}/activity?ref=main")[0]["activity_type"] == "pr_merge"


def test_permission_of_a_collaborator(github: StandInGitHub, client: Client) -> None:
    github.world.user("stranger")

    def permission(login: str) -> str:
        return str(client.ok("GET", f"{BASE}/collaborators/{login}/permission")["permission"])

    assert [permission(login) for login in ("octo", "alice", "stranger")] == ["admin", "write", "none"]
    assert client.get(f"{BASE}/collaborators/nobody/permission").status_code == 404


def test_deleted_repository_is_gone(github: StandInGitHub, client: Client) -> None:
    github.delete_repository(REPO)
    assert client.get(BASE).status_code == 404
    assert client.get(f"{BASE}/pulls/1").status_code == 404


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=30
    )


def test_git_clones_with_a_token_that_reads_contents(github: StandInGitHub, client: Client, tmp_path: Path) -> None:
    header = ("-c", f"http.extraHeader={basic(client)}")
    done = git(tmp_path, *header, "clone", "--quiet", "--depth=1", f"{github.url}/{REPO}.git", "one")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "one" / "app.py").read_text() == FILES["app.py"]
    assert {request.status for request in github.git_requests} == {200}
    assert github.requests[-1].path.endswith("access_tokens")


def test_git_fetches_any_commit_and_leaves_blobs_out(github: StandInGitHub, client: Client, tmp_path: Path) -> None:
    hidden = github.push(REPO, "topic", {"app.py": "forced away\n"})
    github.push(REPO, "topic", {"app.py": "there\n"}, parent=github.head(REPO, "main"))
    git(tmp_path, "init", "--quiet")
    address, header = f"{github.url}/{REPO}.git", ("-c", f"http.extraHeader={basic(client)}")
    done = git(tmp_path, *header, "fetch", "--quiet", "--depth=1", "--filter=blob:none", address, hidden)
    assert done.returncode == 0, done.stderr
    assert "app.py" in git(tmp_path, "ls-tree", "--name-only", hidden).stdout
    missing = git(tmp_path, "rev-list", "--objects", "--missing=print", hidden).stdout
    assert any(line.startswith("?") for line in missing.splitlines())


def test_git_finds_the_head_of_a_fork_in_the_base(github: StandInGitHub, client: Client, tmp_path: Path) -> None:
    fork = github.fork(REPO, "mallory")
    sha = github.push(fork, "evil", {"evil.py": "x\n"}, author="mallory")
    number = github.open_pull(REPO, "evil", author="mallory", head_repo=fork)
    header = ("-c", f"http.extraHeader={basic(client)}")
    listed = git(tmp_path, *header, "ls-remote", f"{github.url}/{REPO}.git", f"refs/pull/{number}/head")
    assert listed.stdout.split() == [sha, f"refs/pull/{number}/head"]


@pytest.mark.parametrize("permissions", [None, {"checks": "write"}])
def test_git_is_refused_without_the_permission(
    github: StandInGitHub, tmp_path: Path, permissions: dict[str, str] | None
) -> None:
    header = ("-c", f"http.extraHeader={basic(with_token(github, permissions=permissions))}") if permissions else ()
    done = git(tmp_path, *header, "ls-remote", f"{github.url}/{REPO}.git")
    assert done.returncode != 0
    assert github.git_requests[-1].status == (403 if permissions else 401)


def test_git_cannot_push(github: StandInGitHub, client: Client, tmp_path: Path) -> None:
    address, header = f"{github.url}/{REPO}.git", ("-c", f"http.extraHeader={basic(client)}")
    git(tmp_path, *header, "clone", "--quiet", address, "one")
    assert git(tmp_path / "one", *header, "push", address, "HEAD:refs/heads/mine").returncode != 0


def test_git_reads_a_public_repository_unasked(github: StandInGitHub, tmp_path: Path) -> None:
    sha = github.add_repository("open/source", FILES, private=False, installed=False)
    assert git(tmp_path, "ls-remote", f"{github.url}/open/source.git", "HEAD").stdout.split() == [sha, "HEAD"]
