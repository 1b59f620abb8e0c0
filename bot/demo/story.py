"""What people do on GitHub, as verbs: they push, open pull requests, comment and press buttons.

Each verb changes the world and then sends the webhooks that GitHub would send for it, one after another, waiting for
each answer. `KeyError` and `ValueError` are raised for what could not happen on GitHub.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from bot.demo import payloads
from bot.demo.bare import NO_COMMIT, BareRepository, Files
from bot.demo.check_routes import suite_for
from bot.demo.deliveries import Delivery, Hook
from bot.demo.github_state import Comment, Move, Pull, Repository, User, World
from bot.demo.pull_routes import add_reply

Sending = tuple[str, dict[str, Any]]


class Story:
    """The verbs. `world` is the state they change, `hook` is where the news goes."""

    def __init__(self, world: World, hook: Hook) -> None:
        self.world = world
        self.hook = hook

    # Repositories and commits

    def add_repository(
        self,
        full_name: str,
        files: Files | None = None,
        *,
        branch: str = "main",
        private: bool = True,
        installed: bool = True,
        collaborators: Mapping[str, str] | None = None,
        owner_type: Literal["User", "Organization"] = "Organization",
    ) -> str:
        """A repository with one commit of `files`, without any webhook. Returns the commit's id (empty: no commit).

        `installed`: the App is installed there. `collaborators` maps logins to admin, write or read.
        """
        world, (owner, _) = self.world, full_name.split("/")
        with world.lock:
            repo = self._create(full_name, branch, private=private, installed=installed, owner_type=owner_type)
            for login, permission in (collaborators or {}).items():
                world.user(login)
                repo.collaborators[login] = permission
            return repo.git.write(branch, files, "Initial commit", None, owner, world.clock()) if files else ""

    def fork(self, full_name: str, owner: str) -> str:
        """A copy under another account, where the App is not installed. Returns its full name."""
        with self.world.lock:
            parent = self.world.repositories[full_name]
            name = f"{owner}/{parent.name}"
            repo = self._create(
                name, parent.default_branch, private=parent.private, installed=False, owner_type="User", of=full_name
            )
            repo.git.run("fetch", "--quiet", str(parent.git.path), "+refs/heads/*:refs/heads/*")
            return name

    def _create(
        self,
        full_name: str,
        branch: str,
        *,
        private: bool,
        installed: bool,
        owner_type: Literal["User", "Organization"],
        of: str | None = None,
    ) -> Repository:
        world = self.world
        if full_name in world.repositories:
            raise ValueError(f"{full_name} exists")
        owner, now = world.user(full_name.split("/")[0], owner_type), world.clock()
        git = BareRepository.create(world.root / f"{full_name}.git", branch)
        repo = Repository(next(world.ids), full_name, owner, git, branch, private, installed, of, now, now)
        world.repositories[full_name] = repo
        world.renamed.pop(full_name.lower(), None)
        if installed and owner not in world.installations.values():
            world.installations[number := next(world.ids)] = owner
            world.installed_at[number] = now
        return repo

    def buy_code_security(self, full_name: str) -> None:
        """Code scanning is on from now on; in a public repository it always is."""
        self.world.repositories[full_name].code_security = True

    def archive(self, full_name: str) -> None:
        """Nobody can change anything in it any more; nobody is told."""
        self.world.repositories[full_name].archived = True

    def _note(self, repo: Repository, branch: str, before: str, after: str, actor: User, kind: str = "push") -> None:
        """Log the move of a branch."""
        if before == NO_COMMIT:
            kind = "branch_creation"
        elif kind == "push" and repo.git.merge_base(before, after) != before:
            kind = "force_push"
        world = self.world
        world.moves.append(
            Move(next(world.ids), repo.full_name, f"refs/heads/{branch}", before, after, kind, actor, world.clock())
        )

    def rename_repository(self, full_name: str, new_name: str) -> None:
        """It goes by another full name, under the same owner, with all that is in it; nobody is told. The old name
        leads to it as long as nothing else has that."""
        world = self.world
        with world.lock:
            repo = world.repositories.pop(full_name)
            world.renamed = {old: new_name if new == full_name else new for old, new in world.renamed.items()}
            world.renamed[full_name.lower()] = repo.full_name = new_name
            world.repositories[new_name] = repo
            for pull in world.pulls.values():
                pull.head_repo = new_name if pull.head_repo == full_name else pull.head_repo
            for thing in world.belongings(full_name):
                thing.repo = new_name
            world.pulls = {(pull.repo, pull.number): pull for pull in world.pulls.values()}

    def delete_repository(self, full_name: str) -> None:
        """It is gone for the API and for git, with its pull requests; nobody is told."""
        with self.world.lock:
            del self.world.repositories[full_name]
            for pull in self.world.pulls_of(full_name):
                del self.world.pulls[full_name, pull.number]

    def commit(
        self,
        repo: str,
        branch: str,
        files: Files,
        message: str = "Change",
        *,
        parent: str | None = None,
        author: str = "alice",
    ) -> str:
        """Commit on top of the branch's tip (or of `parent`: a force push) and move it, without any webhook: as though
        they were lost. A new branch starts at the default branch. Returns the new commit's id."""
        with self.world.lock:
            return self._move(repo, branch, files, message, parent, author)[1]

    def push(
        self,
        repo: str,
        branch: str,
        files: Files | None = None,
        message: str = "Change",
        *,
        parent: str | None = None,
        author: str = "alice",
        sha: str | None = None,
    ) -> str:
        """Commit as `commit` does, or move the branch to `sha`, and send `push`, `check_suite.requested` for a commit
        that has no suite yet, and `pull_request.synchronize` for each open pull request of that branch."""
        after, sendings = self.prepare_push(repo, branch, files, message, parent=parent, author=author, sha=sha)
        self.send(sendings)
        return after

    def prepare_push(
        self,
        repo: str,
        branch: str,
        files: Files | None = None,
        message: str = "Change",
        *,
        parent: str | None = None,
        author: str = "alice",
        sha: str | None = None,
    ) -> tuple[str, list[Sending]]:
        """As `push`, up to where its webhooks are to be sent."""
        world = self.world
        with world.lock:
            source = world.repositories[repo]
            heads = {pull.number: pull.head_sha for pull in self._pulls_from(repo, branch)}
            before, after = self._move(repo, branch, files or {}, message, parent, author, sha)
            sender = world.user(author)
            sendings = self._pushed(source, f"refs/heads/{branch}", before, after, sender)
            for pull in self._pulls_from(repo, branch):
                change = {"before": heads[pull.number], "after": after}
                sendings.append(("pull_request", payloads.pull_request(world, pull, "synchronize", sender, **change)))
        return after, sendings

    def push_tag(self, repo: str, tag: str, sha: str, author: str = "alice") -> None:
        """A new tag at that commit; sends `push`."""
        with self.world.lock:
            source = self.world.repositories[repo]
            source.git.set_ref(f"refs/tags/{tag}", sha)
            payload = payloads.push(self.world, source, f"refs/tags/{tag}", NO_COMMIT, sha, self.world.user(author))
        self.send([("push", payload)])

    def delete_branch(self, repo: str, branch: str, author: str = "alice") -> None:
        """Sends `push` with `deleted`, and closes the pull requests of that branch."""
        world = self.world
        with world.lock:
            source, sender = world.repositories[repo], world.user(author)
            before = source.git.resolve(f"refs/heads/{branch}")
            if before is None:
                raise KeyError(branch)
            closing = self._pulls_from(repo, branch)
            source.git.delete_ref(f"refs/heads/{branch}")
            self._note(source, branch, before, NO_COMMIT, sender, "branch_deletion")
            payload = payloads.push(world, source, f"refs/heads/{branch}", before, NO_COMMIT, sender)
        self.send([("push", payload)] if source.installed else [])
        for pull in closing:
            self.close_pull(pull.repo, pull.number, author=author)

    def _move(
        self,
        repo: str,
        branch: str,
        files: Files,
        message: str,
        parent: str | None,
        author: str,
        sha: str | None = None,
        kind: str = "push",
    ) -> tuple[str, str]:
        """Where the branch was (zeros: nowhere) and is now. Pull requests of it follow."""
        world, source = self.world, self.world.repositories[repo]
        actor = world.user(author)
        tip = source.git.resolve(f"refs/heads/{branch}")
        if sha is not None:
            source.git.set_ref(f"refs/heads/{branch}", sha)
        else:
            start = parent or tip or source.git.resolve(f"refs/heads/{source.default_branch}")
            sha = source.git.write(branch, files, message, start, author, world.clock())
        source.pushed_at = world.clock()
        self._note(source, branch, tip or NO_COMMIT, sha, actor, kind)
        for pull in self._pulls_from(repo, branch):
            self._follow(pull, sha)
        return tip or NO_COMMIT, sha

    def _pulls_from(self, repo: str, branch: str) -> list[Pull]:
        """The open pull requests whose head is this branch."""
        pulls = self.world.pulls.values()
        return [p for p in pulls if p.state == "open" and (p.head_repo, p.head_ref) == (repo, branch)]

    def _follow(self, pull: Pull, head: str) -> None:
        """Take a new head: bring its objects into the base repository, and try the merge."""
        world, base = self.world, self.world.repositories[pull.repo]
        ref = f"refs/pull/{pull.number}/head"
        if pull.from_fork:
            base.git.fetch(world.repositories[pull.head_repo].git, head, ref)
        else:
            base.git.set_ref(ref, head)
        pull.head_sha, pull.updated_at = head, max(world.clock(), pull.updated_at + 1)
        tip = base.git.resolve(f"refs/heads/{pull.base_ref}")
        if tip is None:
            raise KeyError(pull.base_ref)
        pull.base_sha = tip
        pull.merge_sha = base.git.merge(tip, head, f"Merge {head} into {tip}", pull.author.login, world.clock())
        if pull.merge_sha:
            base.git.set_ref(f"refs/pull/{pull.number}/merge", pull.merge_sha)

    def _pushed(self, repo: Repository, ref: str, before: str, after: str, sender: User) -> list[Sending]:
        """What GitHub sends for a moved branch of a repository where the App is installed."""
        if not repo.installed:
            return []
        known = any((s.repo, s.head_sha) == (repo.full_name, after) for s in self.world.suites.values())
        sendings: list[Sending] = [("push", payloads.push(self.world, repo, ref, before, after, sender))]
        if not known:
            suite = suite_for(self.world, repo, after)
            sendings.append(("check_suite", payloads.check_suite(self.world, suite, "requested", sender)))
        return sendings

    # Pull requests

    def open_pull(
        self,
        repo: str,
        head: str,
        base: str | None = None,
        title: str = "A change",
        body: str | None = None,
        author: str = "alice",
        *,
        draft: bool = False,
        head_repo: str | None = None,
    ) -> int:
        """Open a pull request of the branch `head` (of `head_repo`, for a fork). Sends `pull_request.opened`. Returns
        its number."""
        world = self.world
        with world.lock:
            target, source = world.repositories[repo], world.repositories[head_repo or repo]
            sha, now = source.git.resolve(f"refs/heads/{head}"), world.clock()
            if sha is None:
                raise KeyError(head)
            pull = Pull(
                id=next(world.ids),
                repo=repo,
                number=next(target.numbers),
                title=title,
                body=body,
                author=world.user(author),
                head_repo=source.full_name,
                head_ref=head,
                head_sha=sha,
                base_ref=base or target.default_branch,
                base_sha=sha,
                draft=draft,
                created_at=now,
                updated_at=now - 1,
            )
            self._follow(pull, sha)
            world.pulls[repo, pull.number] = pull
        self._tell(pull, "opened", author)
        return pull.number

    def update(self, repo: str, number: int, files: Files, message: str = "Change", *, author: str = "alice") -> str:
        """Push a commit to the pull request's branch. Returns the new head."""
        pull = self.world.pulls[repo, number]
        return self.push(pull.head_repo, pull.head_ref, files, message, author=author)

    def edit_pull(
        self, repo: str, number: int, *, title: str | None = None, body: str | None = None, author: str = "alice"
    ) -> None:
        """Change title or body; sends `pull_request.edited`."""
        pull, changes = self.world.pulls[repo, number], {}
        if title is not None:
            changes["title"], pull.title = {"from": pull.title}, title
        if body is not None:
            changes["body"], pull.body = {"from": pull.body or ""}, body
        self._tell(pull, "edited", author, changes=changes)

    def retarget(self, repo: str, number: int, base: str, author: str = "alice") -> None:
        """Point it at another base branch; sends `pull_request.edited` with the old base."""
        with self.world.lock:
            pull = self.world.pulls[repo, number]
            changes = {"base": {"ref": {"from": pull.base_ref}, "sha": {"from": pull.base_sha}}}
            pull.base_ref = base
            self._follow(pull, pull.head_sha)
        self._tell(pull, "edited", author, changes=changes)

    def close_pull(self, repo: str, number: int, *, merged: bool = False, author: str = "alice") -> None:
        """Sends `pull_request.closed`; with `merged`, the base branch moves to the merge commit, with its `push`."""
        world = self.world
        with world.lock:
            pull, sendings = world.pulls[repo, number], []
            pull.state, pull.closed_at = "closed", world.clock()
            if merged:
                if pull.merge_sha is None:
                    raise ValueError("the pull request conflicts with its base")
                pull.merged_at, pull.merged_by = world.clock(), world.user(author)
                before, after = self._move(repo, pull.base_ref, {}, "", None, author, pull.merge_sha, "pr_merge")
                target = world.repositories[repo]
                sendings = self._pushed(target, f"refs/heads/{pull.base_ref}", before, after, pull.merged_by)
        self._tell(pull, "closed", author)
        self.send(sendings)

    def reopen(self, repo: str, number: int, author: str = "alice") -> None:
        pull = self.world.pulls[repo, number]
        if pull.state == "open" or pull.merged_at:
            raise ValueError("only a pull request that was closed without merging can be reopened")
        pull.state, pull.closed_at = "open", None
        self._tell(pull, "reopened", author)

    def mark_ready(self, repo: str, number: int, author: str = "alice") -> None:
        pull = self.world.pulls[repo, number]
        pull.draft = False
        self._tell(pull, "ready_for_review", author)

    def to_draft(self, repo: str, number: int, author: str = "alice") -> None:
        pull = self.world.pulls[repo, number]
        pull.draft = True
        self._tell(pull, "converted_to_draft", author)

    def merge_group(self, repo: str, number: int, author: str = "alice") -> str:
        """Put a pull request into the merge queue; sends `push` of the queue's branch and `merge_group`. Returns the
        commit to check."""
        world = self.world
        with world.lock:
            pull, target, sender = world.pulls[repo, number], world.repositories[repo], world.user(author)
            base, head = target.git.resolve(f"refs/heads/{pull.base_ref}") or "", pull.merge_sha
            if head is None:
                raise ValueError("the pull request conflicts with its base")
            branch = f"gh-readonly-queue/{pull.base_ref}/pr-{number}-{base}"
            target.git.set_ref(f"refs/heads/{branch}", head)
            sendings = self._pushed(target, f"refs/heads/{branch}", NO_COMMIT, head, sender)
            group = payloads.merge_group(world, target, head, branch, base, pull.base_ref, sender)
        self.send([*sendings, ("merge_group", group)])
        return head

    def leave_queue(self, repo: str, sha: str, reason: str = "dequeued", author: str = "alice") -> None:
        """Take the entry with this head out of the merge queue, unmerged."""
        world = self.world
        with world.lock:
            target, sender = world.repositories[repo], world.user(author)
            listed = target.git.run("for-each-ref", f"--points-at={sha}", "--format=%(refname:short)", "refs/heads")
            branch = next(name for name in listed.decode().split() if name.startswith("gh-readonly-queue/"))
            target.git.delete_ref(f"refs/heads/{branch}")
            base, _, entry = branch.removeprefix("gh-readonly-queue/").rpartition("/")
            parent = entry.rpartition("-")[2]
            group = payloads.merge_group(world, target, sha, branch, parent, base, sender, reason)
        self.send([("merge_group", group)])

    def _tell(self, pull: Pull, action: str, author: str, **more: Any) -> None:
        world = self.world
        with world.lock:
            pull.updated_at = max(world.clock(), pull.updated_at + 1)
            payload = payloads.pull_request(world, pull, action, world.user(author), **more)
        self.send([("pull_request", payload)])

    # Conversation and buttons

    def comment(self, repo: str, number: int, body: str, author: str = "alice") -> int:
        """A comment by a person; sends `issue_comment.created`. Returns its id."""
        world = self.world
        with world.lock:
            person, now = world.user(author), world.clock()
            made = Comment(next(world.ids), repo, number, person, body, now, now)
            world.comments[made.id] = made
            payload = payloads.issue_comment(world, made, "created", person)
        self.send([("issue_comment", payload)])
        return made.id

    def reply(self, comment: int, body: str, author: str = "alice") -> int:
        """A person's answer in a review thread; sends `pull_request_review_comment.created`. Returns its id."""
        world = self.world
        with world.lock:
            made = add_reply(world, world.review_comments[comment], body, world.user(author))
            payload = payloads.review_comment(world, made, "created", world.user(author))
        self.send([("pull_request_review_comment", payload)])
        return made.id

    def resolve_thread(self, comment: int, author: str = "alice") -> None:
        """A person resolves the thread that this review comment is in; sends `pull_request_review_thread.resolved`."""
        world = self.world
        with world.lock:
            said = world.review_comments[comment]
            world.resolved[said.root] = world.user(author)
            payload = payloads.review_thread(world, said, "resolved", world.user(author))
        self.send([("pull_request_review_thread", payload)])

    def react(self, comment: int, content: str = "THUMBS_DOWN", author: str = "alice") -> None:
        """A person reacts to a review comment, of which no webhook tells."""
        with self.world.lock:
            self.world.reactions.setdefault(comment, []).append((content, self.world.user(author)))

    # These buttons GitHub shows to people who may write; the owner presses them unless a test says who.

    def click_rerun(self, check_run: int, author: str = "") -> None:
        """Press "Re-run" on a check; sends `check_run.rerequested`."""
        world = self.world
        with world.lock:
            run = world.runs[check_run]
            world.suites[run.suite].rerequested = True
            payload = payloads.check_run(world, run, "rerequested", self._presser(run.repo, author))
        self.send([("check_run", payload)])

    def click_action(self, check_run: int, identifier: str, author: str = "") -> None:
        """Press one of a completed check's own buttons; sends `check_run.requested_action`."""
        world = self.world
        with world.lock:
            run = world.runs[check_run]
            if run.status != "completed" or identifier not in {action["identifier"] for action in run.actions}:
                raise ValueError(f"the check {run.name!r} shows no button {identifier!r}")
            pressed = {"identifier": identifier}
            sender = self._presser(run.repo, author)
            payload = payloads.check_run(world, run, "requested_action", sender, requested_action=pressed)
        self.send([("check_run", payload)])

    def rerequest_suite(self, repo: str, sha: str, author: str = "") -> None:
        """Press "Re-run all checks"; sends `check_suite.rerequested`."""
        world = self.world
        with world.lock:
            suite = suite_for(world, world.repositories[repo], sha)
            suite.rerequested = True
            payload = payloads.check_suite(world, suite, "rerequested", self._presser(repo, author))
        self.send([("check_suite", payload)])

    def _presser(self, repo: str, author: str) -> User:
        return self.world.user(author) if author else self.world.repositories[repo].owner

    # The App's own news

    def ping(self) -> Delivery | None:
        return self.deliver("ping", payloads.ping(self.world, self.hook.url or ""))

    def announce_installation(
        self, owner: str, action: Literal["created", "deleted", "suspend", "unsuspend"], author: str = "alice"
    ) -> Delivery | None:
        """Sends `installation`; `deleted` also ends its tokens and its access, `suspend` until `unsuspend`."""
        world = self.world
        with world.lock:
            id_ = next(number for number, account in world.installations.items() if account.login == owner)
            chosen = world.installed_repositories(id_)
            payload = payloads.installation(world, id_, action, chosen, world.user(author))
            if action == "deleted":
                del world.installations[id_]
            elif action == "suspend":
                world.suspended_at[id_] = world.clock()
            elif action == "unsuspend":
                world.suspended_at.pop(id_, None)
        return self.deliver("installation", payload)

    def deliver(self, event: str, payload: Mapping[str, Any], guid: str | None = None) -> Delivery | None:
        """Send any payload, signed, whether or not the App subscribed. None while the webhook has no URL."""
        return self.hook.send(event, payload, guid)

    def send(self, sendings: list[Sending]) -> None:
        for event, payload in sendings:
            if self.hook.wants(event) and "installation" in payload:
                self.hook.send(event, payload)
