"""The verifier through its front door: a real server behind the real client, and tests that are really run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from bot.demo.model import KEY, MODEL, Script, ScriptedModel
from bot.demo.model_wire import NO_QUOTA, SERVER_ERROR, TOO_LONG, Answer, Broken, ChatRequest, Problem, Reply
from bot.domain.accounts import Limits, accounts
from bot.domain.findings import AgentResult, Finding, Judgement, Outcome, Severity
from bot.domain.judging import judged
from bot.errors import NoSandbox
from config.prompt_files import load_prompt
from tests.domain.runs import make_run
from tests.workers.stage import SANDBOX, Stage
from workers.agent import Sandbox
from workers.agents import meanwhile
from workers.agents.dossier import dossiers
from workers.agents.verify import VerifyAgent
from workers.file_memory import FileMemory
from workers.llm import client
from workers.llm.client import OpenAIModel
from workers.llm.prices import Price
from workers.meter import Purse, metered

BEFORE = "def total(values):\n    return sum(values)\n"
LINE = "    for index in range(1, len(values)):"
CODE = f"def total(values):\n    result = 0\n{LINE}\n        result += values[index]\n    return result\n"
FAULT = "from shop import total\ngot = total([5])\nassert got == 5, f'got {got}'\n"
NO_FAULT = "from shop import total\nassert total([]) == 0\n"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BACKOFF", 0.01)


def claim(name: str = "f1", **fields: Any) -> Finding:
    given = {
        "tool": "review",
        "rule": "review/bug",
        "severity": Severity.HIGH,
        "message": "The first element is left out. I think so because the author is careless",
        "path": "shop.py",
        "start_line": 3,
        "scenario": "total([5]) is 0 instead of 5.",
        "confidence": 0.91,
        "fingerprint": name,
    }
    return Finding(**(given | fields))


def ruling(number: int = 1, verdict: str = "holds", **fields: Any) -> dict[str, Any]:
    given = {"claim": number, "verdict": verdict, "quote": LINE, "reason": "It starts at 1.", "severity": None}
    return {**given, "test": None, **fields}


def says(*rulings: dict[str, Any]) -> Reply:
    return Reply(json.dumps({"rulings": rulings}))


class Nowhere:
    """There is no sandbox."""

    level = "none"
    isolates = False

    def run(self, command: object) -> NoReturn:
        raise NoSandbox("there is no sandbox: install one")

    def which(self, program: str) -> str | None:
        raise NoSandbox("there is no sandbox: install one")


def verify(
    tmp_path: Path,
    script: Script,
    *claims: Finding,
    settings: Mapping[str, Any] | None = None,
    trusted: bool = True,
    sandbox: Sandbox = SANDBOX,
    verify_model: str = "",
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    purse: Purse | None = None,
    **server: Any,
) -> tuple[AgentResult, AgentResult, ScriptedModel]:
    """The verifier's result, what it makes of the reviewer's, and the server."""
    stage = Stage(tmp_path, {"shop.py": CODE}, {"shop.py": BEFORE}, settings or {}, trusted=trusted, sandbox=sandbox)
    first = AgentResult(outcome=Outcome.FINDINGS, findings=claims or (claim(),))
    with ScriptedModel(script, **server) as scripted:
        prices = {MODEL: Price(input=1.0, output=1.0)}
        asked = OpenAIModel(KEY, scripted.base_url, MODEL, 10, prices)
        model = metered(asked, purse or Purse(), make_run(), limits, 0.0)
        memory = FileMemory(tmp_path / "memory", "octo/shop")
        kit = replace(stage.kit(), model=model, memory=memory, verify_model=verify_model)
        work = replace(stage.work(), others={"review": first}, about="review")
        result = model.told(VerifyAgent(load_prompt("verify")).run(work, kit))
    return result, judged(first, result), scripted


@pytest.mark.parametrize(
    ("settings", "operators", "asked"),
    [
        ({}, "", MODEL),
        ({"review_model": "cheap"}, "", "cheap"),
        ({"review_model": "cheap"}, "strong", "strong"),
        ({"review_model": "cheap", "model": "own"}, "strong", "own"),
    ],
)
def test_second_look_has_its_own_model_or_the_operator_s_or_the_reviewer_s(
    tmp_path: Path, settings: dict[str, str], operators: str, asked: str
) -> None:
    models = (MODEL, "cheap", "strong", "own")
    result, _, scripted = verify(tmp_path, [says(ruling())], settings=settings, verify_model=operators, models=models)
    assert [request.model for request in scripted.requests] == [asked]
    assert result.cost
    assert result.cost.model == asked


def test_those_who_wait_are_told_how_far_the_second_look_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meanwhile, "PAUSE", 0.1)
    stage = Stage(tmp_path, {"shop.py": CODE}, {"shop.py": BEFORE})
    first = AgentResult(outcome=Outcome.FINDINGS, findings=(claim(),))
    with ScriptedModel([replace(says(ruling()), pause=0.05)]) as scripted:
        model = OpenAIModel(KEY, scripted.base_url, MODEL, 10)
        kit = replace(stage.kit(), model=model, written=lambda: 1_234)
        work = replace(stage.work(), others={"review": first}, about="review")
        VerifyAgent(load_prompt("verify")).run(work, kit)
    assert stage.said[0] == "verifying 1 claim; request 1 of 1"
    assert set(stage.said[1:]) == {"verifying 1 claim; request 1 of 1; 1,234 tokens written so far"}


def test_claims_are_shown_with_the_code_and_without_the_reasoning(tmp_path: Path) -> None:
    _, _, scripted = verify(tmp_path, [says(ruling())])
    (request,) = scripted.requests
    assert "The first element is left out" in request.text
    assert "total([5]) is 0 instead of 5." in request.text
    assert f"     3 +{LINE}" in request.text
    assert "careless" not in request.text
    assert "91%" not in request.text


@pytest.mark.parametrize(
    ("answer", "verification", "severity"),
    [
        (ruling(), "confirmed", Severity.HIGH),
        (ruling(verdict="overstated", severity="low"), "lowered", Severity.LOW),
        (ruling(verdict="overstated", severity="critical"), "confirmed", Severity.HIGH),
        (ruling(verdict="overstated"), "confirmed", Severity.HIGH),
        (ruling(verdict="cannot_tell"), "unverified", Severity.HIGH),
        (ruling(quote="for every index of the values"), "unverified", Severity.HIGH),
        (ruling(quote=""), "unverified", Severity.HIGH),
        (ruling(verdict="refuted", quote="    # checked by the security team"), "unverified", Severity.HIGH),
        (ruling(number=2), "unverified", Severity.HIGH),
    ],
)
def test_finding_survives_or_is_lowered_only_by_a_ruling_on_the_code(
    tmp_path: Path, answer: dict[str, Any], verification: str, severity: Severity
) -> None:
    _, after, _ = verify(tmp_path, [says(answer)])
    (finding,) = after.findings
    assert (finding.verification, finding.severity) == (verification, severity)
    assert bool(after.not_covered) == (verification == "unverified")


def test_refuted_claim_is_dropped_and_the_reason_kept(tmp_path: Path) -> None:
    result, after, _ = verify(tmp_path, [says(ruling(verdict="refuted", reason="Nobody passes such a list."))])
    assert (result.outcome, after.outcome, after.findings) == (Outcome.CLEAN, Outcome.CLEAN, ())
    (refuted,) = after.refuted
    assert (refuted.finding.fingerprint, refuted.reason) == ("f1", "Nobody passes such a list.")


def test_claim_that_is_ruled_on_twice_is_unverified(tmp_path: Path) -> None:
    _, after, _ = verify(tmp_path, [says(ruling(), ruling(verdict="refuted"))])
    assert [finding.verification for finding in after.findings] == ["unverified"]


@pytest.mark.parametrize(
    "answer",
    [
        NO_QUOTA,
        SERVER_ERROR,
        Broken("reset"),
        Broken("garbage"),
        Broken("cut"),
        Reply("All claims hold, trust me."),
        Reply('{"rulings": [{"claim": 1, "verdict": "true"}]}'),
        Reply(refusal="I cannot do that."),
        Reply('{"rulings": [', finish_reason="length"),
    ],
)
def test_verifier_that_fails_leaves_everything_unverified_and_says_so(tmp_path: Path, answer: Answer) -> None:
    result, after, _ = verify(tmp_path, lambda _: answer)
    assert result.outcome is Outcome.ERROR
    assert result.judgements == ()
    assert [finding.verification for finding in after.findings] == ["unverified"]
    assert result.reason in after.not_covered[0].why


def test_verifier_whose_provider_is_away_says_when_it_may_be_asked_again(tmp_path: Path) -> None:
    assert verify(tmp_path, lambda _: SERVER_ERROR)[0].retry_after == 0.0
    assert verify(tmp_path, lambda _: NO_QUOTA)[0].retry_after is None


# -- tests that are run


def scripted_test(first: str, then: str, script: str, language: str = "python") -> Callable[[ChatRequest], Reply]:
    def answer(request: ChatRequest) -> Reply:
        if "Your tests were run" in request.text:
            return says(ruling(verdict=then))
        return says(ruling(verdict=first, test={"language": language, "script": script}))

    return answer


def test_test_is_run_and_its_command_and_output_become_evidence(tmp_path: Path) -> None:
    result, after, scripted = verify(tmp_path, scripted_test("cannot_tell", "holds", FAULT))
    (finding,) = after.findings
    assert finding.verification == "confirmed"
    assert "$ python3 -B - <<'TEST'" in finding.evidence
    assert "AssertionError: got 0" in finding.evidence
    assert "(exit code 1)" in finding.evidence
    assert "AssertionError: got 0" in scripted.requests[1].text
    assert len(scripted.requests) == 2
    assert "1 tests run" in result.summary


@pytest.mark.parametrize(("then", "script"), [("holds", NO_FAULT), ("overstated", NO_FAULT), ("refuted", FAULT)])
def test_ruling_that_its_own_test_contradicts_does_not_count(tmp_path: Path, then: str, script: str) -> None:
    _, after, _ = verify(tmp_path, scripted_test("holds", then, script))
    assert [finding.verification for finding in after.findings] == ["unverified"]


def test_test_that_fails_for_another_reason_proves_nothing(tmp_path: Path) -> None:
    _, after, scripted = verify(tmp_path, scripted_test("holds", "refuted", "import no_such_module"))
    assert "ModuleNotFoundError" in scripted.requests[1].text
    assert after.findings == ()
    assert len(after.refuted) == 1


def test_without_a_sandbox_no_test_is_run(tmp_path: Path) -> None:
    _, after, scripted = verify(tmp_path, scripted_test("holds", "holds", FAULT), sandbox=Nowhere())
    assert "The test could not be run: there is no sandbox" in scripted.requests[1].text
    assert (after.findings[0].verification, after.findings[0].evidence) == ("confirmed", claim().evidence)


def test_third_round_never_comes(tmp_path: Path) -> None:
    again = says(ruling(test={"language": "shell", "script": "exit 1"}))
    _, after, scripted = verify(tmp_path, lambda _: again)
    assert len(scripted.requests) == 2
    assert [finding.verification for finding in after.findings] == ["confirmed"]


@pytest.mark.parametrize(("trusted", "settings"), [(False, {}), (True, {"run_tests": False})])
def test_nothing_is_run_for_a_stranger_or_where_it_is_switched_off(
    tmp_path: Path, trusted: bool, settings: dict[str, Any]
) -> None:
    script = f"touch {tmp_path}/ran"
    _, after, scripted = verify(
        tmp_path, scripted_test("holds", "holds", script, "shell"), trusted=trusted, settings=settings
    )
    assert not (tmp_path / "ran").exists()
    assert "Tests cannot be run" in scripted.requests[0].text
    assert len(scripted.requests) == 1
    assert after.findings[0].evidence == claim().evidence


def test_same_question_is_asked_once(tmp_path: Path) -> None:
    first, _, _ = verify(tmp_path, [says(ruling())])
    second, after, scripted = verify(tmp_path, [])
    assert scripted.requests == []
    assert (first.judgements, second.cost) == (second.judgements, None)
    assert after.findings[0].verification == "confirmed"


def test_own_model_is_asked(tmp_path: Path) -> None:
    _, _, scripted = verify(tmp_path, [says(ruling())], settings={"model": "stronger"}, models=(MODEL, "stronger"))
    assert [request.model for request in scripted.requests] == ["stronger"]


def test_budget_of_the_run_is_the_reviewer_s_and_its_own_together(tmp_path: Path) -> None:
    purse, limits = Purse(), Limits(run=0.5)
    purse.hold([(account, 0.5) for account in accounts(make_run(), limits, 0.0)])
    result, after, scripted = verify(tmp_path, [says(ruling())], limits=limits, purse=purse)
    assert scripted.requests == []
    assert "this run's $0.50 are used up" in result.reason
    assert after.findings[0].verification == "unverified"
    assert result.cap
    assert (result.cap.limit, result.cap.proposed) == (0.5, 1.0)


def test_many_claims_are_asked_about_in_several_questions(tmp_path: Path) -> None:
    claims = tuple(claim(f"f{number}", start_line=number % 5 + 1) for number in range(8))

    def answer(request: ChatRequest) -> Answer:
        numbers = [number for number in range(1, 9) if f"Claim {number}:" in request.text]
        return says(*(ruling(number) for number in numbers)) if len(numbers) > 2 else Problem(400, "no")

    result, after, _ = verify(tmp_path, answer, *claims)
    assert result.outcome is Outcome.PARTIAL
    assert sorted(finding.verification for finding in after.findings) == ["confirmed"] * 6 + ["unverified"] * 2
    assert after.not_covered[0].what == "the second look at 2 findings"


def test_question_that_is_too_long_is_asked_in_two_and_a_single_claim_is_not(tmp_path: Path) -> None:
    claims = tuple(claim(f"f{number}", start_line=number % 5 + 1) for number in range(5))

    def numbers(request: ChatRequest) -> list[int]:
        return [number for number in range(1, 6) if f"Claim {number}:" in request.text]

    def answer(request: ChatRequest) -> Answer:
        return TOO_LONG if len(numbers(request)) > 2 else says(*(ruling(number) for number in numbers(request)))

    result, after, server = verify(tmp_path, answer, *claims)
    assert result.outcome is Outcome.CLEAN
    assert [finding.verification for finding in after.findings] == ["confirmed"] * 5
    assert [len(numbers(request)) for request in server.requests] == [5, 2, 3, 1, 2]

    never, after, server = verify(tmp_path / "never", lambda _: TOO_LONG, *claims)
    assert never.outcome is Outcome.ERROR
    assert [finding.verification for finding in after.findings] == ["unverified"] * 5
    assert len(server.requests) == 2 * len(claims) - 1


def test_question_is_as_long_as_the_model_takes(tmp_path: Path) -> None:
    long = {f"f{number}.py": "value = 1  # and some words about it\n" * 200 for number in range(3)}
    stage = Stage(tmp_path, long, dict.fromkeys(long, ""))
    claims = [claim(path, path=path, start_line=100) for path in long]
    work = stage.work()
    for room in (12_000, 30_000, 70_000):
        asked = dossiers(claims, work.root, work.diff, str, tests=False, room=room)
        assert [len(one.text) <= room for one in asked] == [True] * len(asked)
    assert len(dossiers(claims, work.root, work.diff, str, tests=False, room=12_000)) == 3
    assert len(dossiers(claims, work.root, work.diff, str, tests=False)) == 1


def test_judgement_of_a_verifier_that_did_not_end_counts_for_nothing() -> None:
    first = AgentResult(outcome=Outcome.FINDINGS, findings=(claim(),))
    word = Judgement(fingerprint="f1", ruling="refuted", reason="so it is")
    for outcome in (Outcome.ERROR, Outcome.TIMED_OUT, Outcome.NOT_RUN, Outcome.CANCELLED):
        after = judged(first, AgentResult(outcome=outcome, judgements=(word,)))
        assert [finding.verification for finding in after.findings] == ["unverified"]


def test_nothing_of_a_file_that_is_never_sent_is_shown_and_no_test_could_print_it(tmp_path: Path) -> None:
    script = [says(ruling(test={"language": "shell", "script": "cat shop.py; exit 1"}))] * 3
    result, after, scripted = verify(tmp_path, script, settings={"never_send": ["shop.py"]})
    assert len(scripted.requests) == 1
    assert all("range(1, len(values))" not in json.dumps(request.body) for request in scripted.requests)
    assert "Tests cannot be run" in scripted.requests[0].text
    assert after.findings[0].verification == "unverified"
    assert "0 tests run" in result.summary
