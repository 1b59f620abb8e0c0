"""What the check of a stranger's commit says of its approval: the question, what changed, who answered. Markdown."""

from __future__ import annotations

from bot.domain.approvals import waiting
from bot.domain.markdown import bullets, code, plain
from bot.domain.render_parts import section
from bot.domain.run import Question, Run
from bot.domain.triggers import Since
from bot.domain.verdict import count
from bot.domain.wording import moment


def approval_parts(run: Run, web: str | None) -> list[str]:
    """The question, if there is one; `web` is the address of GitHub's pages."""
    if not run.lacks_approval:
        return []
    question = run.question
    if not run.awaits_approval:
        since = f" It had waited since {moment(question.asked_at)}." if question else ""
        return [f"**Nobody approved it in time, so that it is not asked any more.**{since} Re-run asks again."]
    agents = [
        ": ".join(filter(None, (plain(name, 100), ", then ".join(map(code, given))))) for name, given in waiting(run)
    ]
    changed = [pull.since for pull in run.pulls if pull.live and pull.since]
    return [
        _reminder(run, question) if question and question.reminded else "",
        f"Whoever has read it can also comment {code(f'/assay approve {run.key.sha}')}.",
        section("An approval would run", bullets(agents)),
        *(_changed(run, since, web) for since in changed[:3]),
    ]


def _reminder(run: Run, question: Question) -> str:
    asked, ends = moment(question.asked_at), moment(question.asked_at + run.patience.expire)
    return f"**Reminder: this has waited for an approval since {asked}.** It is not asked any more after {ends}."


def _changed(run: Run, since: Since, web: str | None) -> str:
    before, now = since.sha, run.key.sha
    # Two dots: what differs between the two, whatever history was rewritten. Names and SHAs are GitHub's own words.
    page = f"{web.rstrip('/')}/{run.key.repository}/compare/{before}..{now}" if web else ""
    title = f"Changed since {code(before[:7])}, which {plain(since.by, 100)} approved on {moment(since.at)}"
    number = count(since.total, "file")
    facts = [
        f"[{number}]({page})" if page else number,
        f"{since.weighty:,} of which {'decides' if since.weighty == 1 else 'decide'} what is executed"
        if since.weighty
        else "",
        "" if since.complete else "and perhaps more: GitHub does not tell of all",
    ]
    files = [
        code(path, 200) + (" (decides what is executed)" if at < since.weighty else "")
        for at, path in enumerate(since.files)
    ]
    left = since.total - len(files)
    more = [f"and {left:,} more"] if left > 0 else []
    return section(title, "\n\n".join(filter(None, (", ".join(filter(None, facts)) + ".", bullets([*files, *more])))))


def approved_words(run: Run) -> str:
    """Who let it be executed."""
    granted = run.approval
    if granted is None or run.trusted:
        return ""
    carried = f", carried over from {code(granted.carried_from[:7])}" if granted.carried_from else ""
    return f"Approved for execution by {plain(granted.actor, 100)}{carried}; this ends on {moment(granted.ends)}."
