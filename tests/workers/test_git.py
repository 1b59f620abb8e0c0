"""Running git: what it says becomes an error of ours, it ends in time, and nothing of the machine's reaches it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.demo.github import StandInGitHub
from bot.errors import Gone, Refused, ToolFailed, Unavailable
from workers.git import Git

NOWHERE = "http://127.0.0.1:9/octo/demo.git"


@pytest.fixture
def git(tmp_path: Path) -> Git:
    folder = tmp_path / "mirror.git"
    folder.mkdir()
    made = Git(folder)
    made.run("init", "--quiet", "--bare", "--template=")
    return made


@contextmanager
def silent_server() -> Iterator[str]:
    """It takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/octo/demo.git"


@pytest.fixture(scope="module")
def github() -> Iterator[StandInGitHub]:
    with StandInGitHub() as github:
        github.add_repository("octo/demo", {"a.txt": "x\n"})
        yield github


def fetch(git: Git, url: str, *refs: str) -> None:
    git.run("fetch", "--quiet", "--depth=1", "--end-of-options", url, *refs)


# -- what goes wrong


def test_unknown_commit_is_gone(git: Git) -> None:
    with pytest.raises((Gone, ToolFailed)):
        git.run("cat-file", "-e", "f" * 40)


def test_nonsense_is_told_in_git_s_own_words(git: Git) -> None:
    with pytest.raises(ToolFailed, match="git no-such-verb: .*not a git command"):
        git.run("no-such-verb")


def test_server_that_nobody_runs_is_away(git: Git) -> None:
    with pytest.raises(Unavailable, match="git fetch"):
        fetch(git, NOWHERE, "main")


def test_repository_that_needs_a_token_refuses(git: Git, github: StandInGitHub) -> None:
    with pytest.raises(Refused):
        fetch(git, f"{github.url}/octo/demo.git", "main")


def test_token_that_is_not_good_is_refused(git: Git, github: StandInGitHub) -> None:
    with pytest.raises(Refused):
        fetch(Git(git.git_dir, token="wrong"), f"{github.url}/octo/demo.git", "main")


@pytest.mark.parametrize(
    ("status", "error"), [(403, Refused), (500, Unavailable), (503, Unavailable), (429, Unavailable)]
)
def test_status_of_the_server_says_whose_move_it_is(
    git: Git, github: StandInGitHub, status: int, error: type[Exception]
) -> None:
    github.fail(path=".git/", status=status)
    with pytest.raises(error):
        fetch(git, f"{github.url}/octo/demo.git", "main")


def test_connection_that_breaks_is_away(git: Git, github: StandInGitHub) -> None:
    github.fail("reset", path=".git/", times=3)
    with pytest.raises(Unavailable):
        fetch(git, f"{github.url}/octo/demo.git", "main")
    github.api.faults.pending.clear()


def test_server_that_is_silent_is_not_waited_for(git: Git) -> None:
    """git's helper that speaks HTTP holds on to the pipes, so it has to end too."""
    begun = time.monotonic()
    with silent_server() as url, pytest.raises(Unavailable, match="did not end within"):
        fetch(Git(git.git_dir, timeout=0.5), url, "main")
    assert time.monotonic() - begun < 3


def test_output_that_never_ends_is_cut_off(git: Git) -> None:
    impatient = Git(git.git_dir, timeout=0.3)
    begun = time.monotonic()
    with (
        pytest.raises(Unavailable, match="did not end within"),
        impatient.lines("-c", "alias.x=!sleep 60", "x") as lines,
    ):
        assert list(lines) == []
    assert time.monotonic() - begun < 3


def test_missing_git_is_told_of(git: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolFailed, match="git is not installed"):
        git.run("version")


# -- lines


def test_line_ends_at_a_newline_and_nowhere_else(git: Git) -> None:
    with git.lines("-c", r"alias.x=!printf 'a\rb\fc\nd'", "x") as lines:
        assert list(lines) == ["a\rb\fc", "d"]


def test_bytes_that_are_no_unicode_are_kept(git: Git) -> None:
    with git.lines("-c", r"alias.x=!printf '\377'", "x") as lines:
        assert [line.encode("utf-8", "surrogateescape") for line in lines] == [b"\xff"]


def test_many_complaints_do_not_block_the_output(git: Git) -> None:
    noisy = "alias.x=!seq 1 100000 >&2; echo done"
    with git.lines("-c", noisy, "x") as lines:
        assert list(lines) == ["done"]


def test_reader_that_fails_leaves_no_process(git: Git) -> None:
    begun = time.monotonic()
    with pytest.raises(ZeroDivisionError), git.lines("-c", "alias.x=!sleep 60", "x"):
        raise ZeroDivisionError
    assert time.monotonic() - begun < 3


def test_failure_after_some_output_is_an_error(git: Git) -> None:
    with pytest.raises(ToolFailed, match="broken"), git.lines("-c", "alias.x=!echo broken >&2; exit 3", "x") as lines:
        list(lines)


# -- what reaches git


def test_configuration_of_the_machine_does_not_count(git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".gitconfig").write_text("[user]\n  name = mallory\n[alias]\n  x = !echo gotcha\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "alias.y")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "!echo gotcha")
    for alias in ("x", "y"):
        with pytest.raises(ToolFailed, match="not a git command"):
            git.run(alias)


def test_token_is_sent_and_stands_in_no_argument_environment_or_file(git: Git, tmp_path: Path) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                heard.append(connection.recv(10_000))
                heard.append(b"".join(_read(path) for path in Path("/proc").glob("[0-9]*/cmdline")))
                heard.append(b"".join(_read(path) for path in Path("/proc").glob("[0-9]*/environ")))
                heard.append(b"".join(_read(path) for path in git.git_dir.rglob("*") if path.is_file()))
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(Gone):
            fetch(
                Git(git.git_dir, token="ghs_of-this-test"), f"http://127.0.0.1:{listener.getsockname()[1]}/a/b.git", "x"
            )
        thread.join()
    assert b"Authorization: Basic eC1hY2Nlc3MtdG9rZW46Z2hzX29mLXRoaXMtdGVzdA==" in heard[0]
    arguments, environments, files = heard[1:]
    # What is looked through is git's own.
    assert b"remote-http" in arguments
    assert b"GIT_CONFIG_GLOBAL" in environments
    assert b"[core]" in files
    for said in (arguments, environments, files):
        assert b"ghs_of-this-test" not in said
        assert b"eC1hY2Nlc3MtdG9rZW46" not in said


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("url", ["ext::sh -c 'touch pwned'", "ssh://127.0.0.1/x", "file:///", "git://127.0.0.1/x"])
def test_other_transports_are_not_used(git: Git, url: str) -> None:
    with pytest.raises(ToolFailed, match="not allowed"):
        fetch(git, url, "main")


def test_redirects_are_not_followed(git: Git) -> None:
    """They would carry the token elsewhere."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises((Unavailable, ToolFailed), match="301|redirect"):
            fetch(Git(git.git_dir, token="t"), f"http://127.0.0.1:{listener.getsockname()[1]}/a/b.git", "x")
        thread.join()
