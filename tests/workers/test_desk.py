"""What `assay check` takes for the change, in every state a repository may be in."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import workers.desk
from bot.domain.diff import Diff
from bot.errors import Theirs, ToolFailed
from tests.repository import ENVIRONMENT, Repository
from workers.desk import open_desk


@pytest.fixture(autouse=True)
def _nobodys_git(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("GIT_"):
            monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repo")
    made.commit({"kept.py": "A = 1\n", "gone.py": "B = 1\n", "old name.py": "C = 1\n" * 20, ".gitignore": "*.log\n"})
    return made


def changed(path: Path, base: str | None = None) -> Diff:
    with open_desk(path, base) as desk:
        return desk.diff


def base_of(path: Path, base: str | None = None) -> tuple[str | None, str]:
    with open_desk(path, base) as desk:
        return desk.base.commit, desk.base.words


# -- what has changed


def test_committed_staged_edited_new_deleted_and_renamed_files_are_the_change(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "topic")
    repository.commit({"committed.py": "X = 1\n"})
    repository.write("staged.py", "X = 1\n")
    repository.git("add", "staged.py")
    repository.write("kept.py", "A = 1\nA = 2\n")
    repository.write("new file.py", "X = 1\n")
    repository.write("noise.log", "ignored\n")
    (repository.root / "gone.py").unlink()
    (repository.root / "old name.py").rename(repository.root / "new name.py")
    diff = changed(repository.root)
    assert {path: file.status for path, file in diff.files.items()} == {
        "committed.py": "added",
        "gone.py": "deleted",
        "kept.py": "modified",
        "new file.py": "added",
        "new name.py": "renamed",
        "staged.py": "added",
    }
    assert diff.files["kept.py"].added == ((2, 2),)


def test_nothing_has_changed_in_a_clean_repository(repository: Repository) -> None:
    assert changed(repository.root).files == {}


def test_git_directory_is_left_exactly_as_it_was(repository: Repository) -> None:
    repository.write("kept.py", "A = 2\n")
    repository.write("new.py", "X = 1\n")
    os.utime(repository.root / "gone.py", (1, 1))  # Git would note this in its index.
    before = repository.digest()
    with open_desk(repository.root) as desk:
        assert desk.trees.files(desk.head)
    assert repository.digest() == before


def test_read_only_repository_is_looked_at(repository: Repository, tmp_path: Path) -> None:
    repository.write("kept.py", "A = 2\n")
    if os.geteuid() == 0:
        pytest.skip("permissions do not bind root")
    for folder, _, files in os.walk(repository.root):
        for name in (folder, *(f"{folder}/{file}" for file in files)):
            Path(name).chmod(Path(name).stat().st_mode & ~0o222)
    assert set(changed(repository.root).files) == {"kept.py"}


def test_names_of_every_kind(repository: Repository) -> None:
    names = ["-rf", "--output=x", "tab\there", "line\nbreak", 'quo"te', "ünïcödé", ":(top)magic", "a/b c/d.py", "*.py"]
    for name in names:
        repository.write(name, "X = 1\n")
    assert set(changed(repository.root).files) == set(names)


def test_edit_as_large_as_what_it_replaces_is_seen_right_after_a_commit(repository: Repository) -> None:
    """Git tells by time and size whether a file has changed; both may be the same within one tick."""
    for number in range(5):
        repository.commit({"kept.py": f"A = {number}\n"})
        repository.write("kept.py", "A = 9\n")
        assert set(changed(repository.root).files) == {"kept.py"}


def test_links_and_large_new_files(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers.desk, "LARGEST_NEW_FILE", 1000)
    (repository.root / "link").symlink_to("/etc/passwd")
    (repository.root / "dangling").symlink_to("nowhere")
    repository.write("data (1).bin", b"\0" * 1001)
    with open_desk(repository.root) as desk:
        assert set(desk.diff.files) == {"link", "dangling"}
        assert desk.left_out == ("data (1).bin",)


def test_repository_within_the_repository_is_no_part_of_it(repository: Repository) -> None:
    Repository(repository.root / "empty")
    Repository(repository.root / "full").commit({"x.py": "X = 1\n"})
    with open_desk(repository.root) as desk:
        assert desk.diff.files == {}
        assert desk.left_out == ()


def test_file_that_cannot_be_read_is_not_passed_over(repository: Repository) -> None:
    os.mkfifo(repository.root / "pipe")  # Git leaves it alone, as it does with sockets.
    assert changed(repository.root).files == {}
    repository.write("kept.py", "A = 2\n").chmod(0)
    if os.geteuid() == 0:
        pytest.skip("permissions do not bind root")
    with pytest.raises(ToolFailed, match=r"kept\.py"):
        changed(repository.root)


@pytest.mark.parametrize(
    "settings",
    [
        {"diff.noprefix": "true"},
        {"diff.mnemonicPrefix": "true"},
        {"diff.external": "false"},
        {"diff.context": "0"},
        {"diff.interHunkContext": "1000"},
        {"diff.suppressBlankEmpty": "true"},
        {"diff.renames": "false"},
        {"diff.submodule": "log"},
        {"diff.relative": "true"},
        {"diff.srcPrefix": "x/", "diff.dstPrefix": "y/"},
        {"diff.colorMoved": "zebra", "color.ui": "always"},
        {"core.pager": "false", "pager.diff": "true"},
        {"core.quotePath": "false"},
        {"core.fsmonitor": "false", "core.untrackedCache": "true"},
        {"core.autocrlf": "true", "core.safecrlf": "true"},
        {"core.splitIndex": "true"},
        {"core.attributesFile": "attributes"},
        {"feature.manyFiles": "true"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_developer_s_git_settings_change_nothing(repository: Repository, settings: dict[str, str]) -> None:
    repository.write("kept.py", "A = 1\n\n\nA = 2\n")
    repository.write("sub/ünï.py", "X = 1\n")
    (repository.root / "old name.py").rename(repository.root / "sub/name.py")
    expected = changed(repository.root)
    for key, value in settings.items():
        repository.git("config", key, value)
    before = repository.digest()
    assert changed(repository.root) == expected
    assert repository.digest() == before


def test_environment_of_a_hook_leads_nowhere_else(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repository(tmp_path / "other")
    other.commit({"other.py": "X = 1\n"})
    repository.write("kept.py", "A = 2\n")
    for name, value in {
        "GIT_DIR": str(other.root / ".git"),
        "GIT_WORK_TREE": str(other.root),
        "GIT_INDEX_FILE": str(other.root / ".git/index"),
        "GIT_OBJECT_DIRECTORY": str(other.root / ".git/objects"),
        "GIT_PREFIX": "sub/",
        "GIT_EXTERNAL_DIFF": "false",
        "GIT_DIFF_OPTS": "-u0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_CONFIG_PARAMETERS": "'diff.relative=true' 'core.splitIndex=true'",
    }.items():
        monkeypatch.setenv(name, value)
    assert set(changed(repository.root).files) == {"kept.py"}


# -- which repository


def test_folder_inside_stands_for_the_whole_repository(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.write("sub/x.py", "X = 1\n")
    repository.write("kept.py", "A = 2\n")
    with open_desk(repository.root / "sub") as desk:
        assert desk.root == repository.root
        assert set(desk.diff.files) == {"sub/x.py", "kept.py"}
    monkeypatch.chdir(repository.root / "sub")
    assert set(changed(Path()).files) == {"sub/x.py", "kept.py"}


def test_worktree_has_its_own_index_and_head(repository: Repository, tmp_path: Path) -> None:
    repository.git("worktree", "add", "--quiet", "-b", "topic", str(tmp_path / "tree"))
    tree = Repository(tmp_path / "tree")
    tree.commit({"committed.py": "X = 1\n"})
    tree.write("staged.py", "X = 1\n")
    tree.git("add", "staged.py")
    repository.write("elsewhere.py", "X = 1\n")
    before = repository.digest()
    assert set(changed(tree.root).files) == {"committed.py", "staged.py"}
    assert repository.digest() == before


def test_submodule_is_a_repository_of_its_own(repository: Repository, tmp_path: Path) -> None:
    library = Repository(tmp_path / "library")
    library.commit({"lib.py": "L = 1\n"})
    repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.root), "vendor/lib")
    repository.commit(message="with a library")
    inside = Repository(repository.root / "vendor/lib")
    inside.write("lib.py", "L = 2\n")
    assert changed(repository.root).files == {}
    with open_desk(inside.root) as desk:
        assert desk.root == inside.root
        assert set(desk.diff.files) == {"lib.py"}
    inside.commit()
    diff = changed(repository.root)
    assert set(diff.files) == {"vendor/lib"}


def test_folder_that_is_in_no_repository(tmp_path: Path) -> None:
    with pytest.raises(Theirs, match="not in a git repository"), open_desk(tmp_path):
        pass
    with pytest.raises(Theirs, match="is no folder"), open_desk(tmp_path / "missing"):
        pass


def test_bare_repository_has_nothing_to_look_at(tmp_path: Path) -> None:
    bare = Repository(tmp_path / "bare.git", "--bare")
    with pytest.raises(Theirs, match="bare repository"), open_desk(bare.root):
        pass


def test_broken_git_file_is_git_s_own_words(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(ToolFailed, match="not a git repository"), open_desk(tmp_path):
        pass


def test_git_is_not_installed(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolFailed, match="git is not installed"), open_desk(repository.root):
        pass


# -- what it is compared with


def test_before_the_first_commit_everything_is_new(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo")
    assert changed(repository.root).files == {}
    repository.write("first.py", "X = 1\n")
    assert set(changed(repository.root).files) == {"first.py"}
    assert base_of(repository.root) == (None, "nothing: there is no commit yet")


def test_orphan_branch_is_new_too(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--orphan", "pages")
    repository.write("index.html", "hello\n")
    assert set(changed(repository.root).files) == {"index.html"}


def test_base_is_where_history_parted_from_the_default_branch(repository: Repository) -> None:
    parted = repository.git("rev-parse", "HEAD")
    repository.git("switch", "--quiet", "--create", "topic")
    repository.commit({"topic.py": "X = 1\n"})
    repository.git("switch", "--quiet", "main")
    repository.commit({"later.py": "X = 1\n"})
    repository.git("switch", "--quiet", "--detach", "topic")
    assert base_of(repository.root) == (parted, f"main ({parted[:7]})")
    assert set(changed(repository.root).files) == {"topic.py"}


def test_unpushed_commits_of_the_default_branch_are_the_change(repository: Repository, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(repository.root), str(tmp_path / "clone")], check=True)
    clone = Repository(tmp_path / "clone")
    clone.commit({"local.py": "X = 1\n"})
    assert set(changed(clone.root).files) == {"local.py"}
    assert base_of(clone.root)[1].startswith("origin/main (")


@pytest.mark.parametrize("remote", ["origin", "upstream"])
def test_default_branch_of_any_name_and_remote(repository: Repository, tmp_path: Path, remote: str) -> None:
    repository.git("branch", "--move", "main", "trunk")
    arguments = ["--quiet", "--origin", remote, str(repository.root), str(tmp_path / "clone")]
    subprocess.run(["git", "clone", *arguments], check=True)
    clone = Repository(tmp_path / "clone")
    clone.git("switch", "--quiet", "--create", "topic")
    clone.commit({"topic.py": "X = 1\n"})
    assert base_of(clone.root)[1].startswith(f"{remote}/trunk (")


def test_upstream_serves_where_no_default_branch_is_known(repository: Repository, tmp_path: Path) -> None:
    repository.git("branch", "--move", "main", "trunk")
    subprocess.run(["git", "clone", "--quiet", str(repository.root), str(tmp_path / "clone")], check=True)
    clone = Repository(tmp_path / "clone")
    clone.git("remote", "set-head", "origin", "--delete")
    clone.commit({"local.py": "X = 1\n"})
    assert set(changed(clone.root).files) == {"local.py"}


def test_without_any_default_branch_only_the_uncommitted_is_new(repository: Repository) -> None:
    repository.git("branch", "--move", "main", "trunk")
    repository.commit({"committed.py": "X = 1\n"})
    repository.write("uncommitted.py", "X = 1\n")
    assert set(changed(repository.root).files) == {"uncommitted.py"}
    assert "no default branch is known" in base_of(repository.root)[1]


def test_configured_name_of_default_branches_is_known(repository: Repository) -> None:
    repository.git("branch", "--move", "main", "trunk")
    repository.git("config", "init.defaultBranch", "trunk")
    repository.git("switch", "--quiet", "--create", "topic")
    repository.commit({"topic.py": "X = 1\n"})
    assert base_of(repository.root)[1].startswith("trunk (")


def test_named_base(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.git("tag", "v1")
    repository.commit({"second.py": "X = 1\n"})
    repository.commit({"third.py": "X = 1\n"})
    assert set(changed(repository.root, "v1").files) == {"second.py", "third.py"}
    assert set(changed(repository.root, "HEAD~1").files) == {"third.py"}
    assert base_of(repository.root, first) == (first, first[:7])


@pytest.mark.parametrize("base", ["nowhere", "--all", "HEAD~99", "", "main:kept.py"])
def test_unknown_base(repository: Repository, base: str) -> None:
    with pytest.raises(Theirs, match="no such commit"), open_desk(repository.root, base):
        pass


def test_base_without_common_history_is_taken_as_it_is(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--orphan", "other")
    repository.commit({"other.py": "X = 1\n"})
    with pytest.raises(Theirs, match="no history in common with main"):
        changed(repository.root)
    assert "other.py" in changed(repository.root, "main").files


def test_shallow_clone_says_what_it_lacks(repository: Repository, tmp_path: Path) -> None:
    repository.git("switch", "--quiet", "--create", "topic")
    repository.commit({"topic.py": "X = 1\n"})
    repository.git("switch", "--quiet", "main")
    repository.commit({"later.py": "X = 1\n"})
    url = f"file://{repository.root}"
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", "--no-single-branch", url, str(clone)], check=True)
    assert changed(clone).files == {}
    Repository(clone).git("switch", "--quiet", "topic")
    with pytest.raises(Theirs, match=r"too shallow.*--unshallow"):
        changed(clone)
    assert set(changed(clone, "HEAD").files) == set()


def test_partial_clone_fetches_what_the_diff_needs(repository: Repository, tmp_path: Path) -> None:
    repository.git("config", "uploadpack.allowFilter", "true")
    url = f"file://{repository.root}"
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--filter=blob:none", url, str(clone)], check=True)
    Repository(clone).write("kept.py", "A = 2\n")
    assert set(changed(clone).files) == {"kept.py"}


def test_sparse_checkout_has_not_deleted_what_it_leaves_out(repository: Repository) -> None:
    repository.commit({"in/x.py": "X = 1\n", "out/y.py": "Y = 1\n"})
    repository.git("sparse-checkout", "set", "in")
    repository.write("in/x.py", "X = 2\n")
    assert not (repository.root / "out").exists()
    assert set(changed(repository.root).files) == {"in/x.py"}


def test_unfinished_merge_is_looked_at_as_it_stands(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "topic")
    repository.commit({"kept.py": "A = 2\n"})
    repository.git("switch", "--quiet", "main")
    repository.commit({"kept.py": "A = 3\n"})
    with pytest.raises(AssertionError):
        repository.git("merge", "topic")
    before = repository.digest()
    assert changed(repository.root).files["kept.py"].added_lines == 4
    assert repository.digest() == before


def test_everything_is_looked_at_when_asked(repository: Repository) -> None:
    with open_desk(repository.root, everything=True) as desk:
        assert set(desk.diff.paths) == {"kept.py", "gone.py", "old name.py", ".gitignore"}


def test_repository_moved_away_while_open_leaves_no_scratch_behind(repository: Repository) -> None:
    with open_desk(repository.root) as desk:
        scratch = desk.scratch
        shutil.rmtree(repository.root)
    assert not scratch.exists()
