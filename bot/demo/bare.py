"""A bare git repository on disk, driven by the real git (the one on PATH)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

NO_COMMIT = "0" * 40
Files = Mapping[str, str | bytes | None]
# Bytes of a blob that is kept in memory.
_SMALL = 65536


class GitError(Exception):
    """git said no; the message carries its words."""


@dataclass(frozen=True)
class Entry:
    """One entry of a tree: `kind` is blob, tree or commit (a submodule); `size` is in bytes, 0 for a tree."""

    mode: str
    kind: str
    sha: str
    size: int
    path: str


@dataclass(frozen=True)
class Commit:
    """A commit as git tells it. Times are ISO 8601 with an offset."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: tuple[str, str, str]
    committer: tuple[str, str, str]
    message: str


@dataclass(frozen=True)
class BareRepository:
    """`known` are commits that were asked for, by their id, `found` what lies at a path in one, `small` the contents of
    blobs: they never change, and none is ever collected."""

    path: Path
    known: dict[str, Commit] = field(default_factory=dict, compare=False, repr=False)
    found: dict[tuple[str, str], Entry | None] = field(default_factory=dict, compare=False, repr=False)
    small: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def create(cls, path: Path, branch: str) -> BareRepository:
        """Make an empty repository whose HEAD is `branch`, open to fetches by object id and to partial clones."""
        path.mkdir(parents=True)
        repository = cls(path)
        repository.run("init", "--quiet", "--bare", f"--initial-branch={branch}", ".")
        for key in ("uploadpack.allowAnySHA1InWant", "uploadpack.allowFilter"):
            repository.run("config", key, "true")
        return repository

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """git's standard output. Raises `GitError`."""
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607
            cwd=self.path,
            input=stdin,
            capture_output=True,
            env=clean_environment(),
            timeout=60,
        )
        if done.returncode:
            raise GitError(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def line(self, *arguments: str) -> str:
        return self.run(*arguments).decode(errors="replace").strip()

    def resolve(self, name: str, kind: str = "commit") -> str | None:
        """The object id that a name (a branch, a ref, a full or abbreviated id) stands for, None if nothing."""
        if kind == "commit" and name in self.known:
            return name
        for candidate in (name, f"refs/heads/{name}"):
            try:
                return self.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{candidate}^{{{kind}}}")
            except GitError:
                continue
        return None

    def write(self, branch: str, files: Files, message: str, parent: str | None, author: str, when: float) -> str:
        """Commit `files` (None deletes one) on top of `parent` and move the branch there. Returns the new id."""
        person = f"{author} <{author}@users.noreply.example> {int(when)} +0000\n".encode()
        body = message.encode()
        stream = [f"commit refs/heads/{branch}\nmark :1\n".encode(), b"author ", person, b"committer ", person]
        stream += [b"data %d\n" % len(body), body, b"\n"]
        if parent:
            stream.append(f"from {parent}\n".encode())
        stream += [_change(path, content) for path, content in files.items()]
        out = self.run("fast-import", "--quiet", "--force", stdin=b"".join([*stream, b"get-mark :1\n", b"done\n"]))
        return out.decode().strip()

    def set_ref(self, ref: str, sha: str) -> None:
        self.run("update-ref", ref, sha)

    def delete_ref(self, ref: str) -> None:
        self.run("update-ref", "-d", ref)

    def fetch(self, other: BareRepository, sha: str, ref: str) -> None:
        """Bring a commit of another repository here, under `ref`."""
        self.run("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(other.path), f"+{sha}:{ref}")

    def merge_base(self, one: str, other: str) -> str | None:
        try:
            return self.line("merge-base", one, other)
        except GitError:
            return None

    def count(self, revisions: str) -> int:
        return int(self.line("rev-list", "--count", revisions))

    def merge(self, base: str, head: str, message: str, author: str, when: float) -> str | None:
        """A merge commit of both, on no branch; None where they conflict."""
        try:
            tree = self.line("merge-tree", "--write-tree", base, head).split("\n")[0]
        except GitError:
            return None
        stamp = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (
                ("NAME", author),
                ("EMAIL", f"{author}@users.noreply.example"),
                ("DATE", f"{int(when)} +0000"),
            )
        }
        done = subprocess.run(
            ["git", "commit-tree", tree, "-p", base, "-p", head, "-m", message],  # noqa: S607
            cwd=self.path,
            capture_output=True,
            env={**clean_environment(), **stamp},
            timeout=60,
            check=True,
        )
        return done.stdout.decode().strip()

    def commit(self, sha: str) -> Commit:
        if sha in self.known:
            return self.known[sha]
        form = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"
        text = self.run("show", "--no-patch", f"--format={form}", sha).decode(errors="replace")
        id_, tree, parents, *people, message = text.split("\0", 9)
        an, ae, ad, cn, ce, cd = people
        made = Commit(id_, tree, tuple(parents.split()), (an, ae, ad), (cn, ce, cd), message.strip("\n"))
        self.known[made.sha] = made
        return made

    def commits(self, revisions: str, limit: int = 250) -> list[Commit]:
        """Oldest first, the newest `limit` of them."""
        ids = self.line("rev-list", "--reverse", "--topo-order", f"--max-count={limit}", revisions).split()
        return [self.commit(sha) for sha in ids]

    def entry(self, sha: str, path: str) -> Entry | None:
        """What lies at `path` in that commit; the commit's own tree for an empty path."""
        if not path:
            return Entry("040000", "tree", f"{sha}^{{tree}}", 0, "")
        if (sha, path) not in self.found:
            tree = self._tree("ls-tree", "-z", "--long", "--full-tree", sha, "--", f":(literal){path}")
            self.found[sha, path] = next((entry for entry in tree if entry.path == path), None)
        return self.found[sha, path]

    def listing(self, tree: str) -> list[Entry]:
        return self._tree("ls-tree", "-z", "--long", tree)

    def blob(self, sha: str) -> bytes:
        if (known := self.small.get(sha)) is not None:
            return known
        content = self.run("cat-file", "blob", sha)
        if len(content) <= _SMALL:
            self.small[sha] = content
        return content

    def _tree(self, *arguments: str) -> list[Entry]:
        entries = []
        for record in self.run(*arguments).decode(errors="surrogateescape").split("\0")[:-1]:
            facts, path = record.split("\t", 1)
            mode, kind, sha, size = facts.split()
            entries.append(Entry(mode, kind, sha, int(size) if size.isdigit() else 0, path))
        return entries


def clean_environment() -> dict[str, str]:
    """An environment in which neither the system's nor the user's git configuration counts."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "HOME": os.devnull,
    }


def _change(path: str, content: str | bytes | None) -> bytes:
    quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if content is None:
        return f"D {quoted}\n".encode()
    data = content.encode() if isinstance(content, str) else content
    mode = "100755" if data.startswith(b"#!") else "100644"
    return f"M {mode} inline {quoted}\n".encode() + b"data %d\n" % len(data) + data + b"\n"
