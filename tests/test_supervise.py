"""The supervisor, with processes of a few lines."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from bot.errors import Unavailable
from bot.supervise import Role, Supervisor


def note(folder: Path, text: str) -> None:
    """Leave a mark that another process sees."""
    with (folder / "notes").open("a") as file:
        file.write(text + "\n")


def notes(folder: Path) -> list[str]:
    file = folder / "notes"
    return file.read_text().splitlines() if file.exists() else []


def live(folder: Path, name: str) -> None:
    note(folder, f"{name} {os.getpid()}")
    time.sleep(60)


def crash(folder: Path) -> None:
    note(folder, f"{time.monotonic()}")
    os._exit(3)


def refuse() -> None:
    raise Unavailable("nobody answers")


def stumble(folder: Path) -> None:
    note(folder, "stumbled")
    raise LookupError("the key is hunter2")


def finish(folder: Path, seconds: float) -> None:
    """Takes its time to end when asked."""

    def stop(*_: object) -> None:
        time.sleep(seconds)
        note(folder, "finished")
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    live(folder, "finisher")


def with_child(folder: Path) -> None:
    """Does not end when asked, and has a child in a group of its own, as a work-horse is."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    note(folder, f"child {child.pid}")
    time.sleep(60)


def run_until(supervisor: Supervisor, true: Callable[[], object]) -> Callable[[object], None]:
    """A tick that stops the supervisor when something is true, or after a while."""
    give_up = time.monotonic() + 20

    def tick(_living: object) -> None:
        if true() or time.monotonic() > give_up:
            supervisor.stop()

    return tick


def supervise(*roles: Role, until: Callable[[], object], drain: float = 10.0) -> None:
    ticks: list[Callable[[object], None]] = []
    supervisor = Supervisor(roles, drain=drain, tick=lambda living: ticks[0](living))
    ticks.append(run_until(supervisor, until))
    supervisor.run()


def running(line: str) -> bool:
    """Whether the process that left this note is there. One that nobody has buried yet is not."""
    try:
        return psutil.Process(int(line.split()[1])).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_every_role_runs_and_ends_with_the_supervisor(tmp_path: Path) -> None:
    roles = [Role(name, partial(live, tmp_path, name)) for name in ("one", "two")]
    supervise(*roles, until=lambda: len(notes(tmp_path)) == 2)
    assert sorted(line.split()[0] for line in notes(tmp_path)) == ["one", "two"]
    assert not any(map(running, notes(tmp_path)))


def test_dead_child_is_started_again_ever_more_slowly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    supervise(Role("crasher", partial(crash, tmp_path)), until=lambda: len(notes(tmp_path)) == 3)
    first, second, third = map(float, notes(tmp_path))
    assert 0.5 <= second - first < third - second
    assert "crasher ended with exit code 3, starting it again in 0.5 s" in caplog.text
    assert "starting it again in 1 s" in caplog.text


def test_killed_child_is_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def killed() -> bool:
        lines = notes(tmp_path)
        if len(lines) == 1 and running(lines[0]):
            os.kill(int(lines[0].split()[1]), signal.SIGKILL)
        return len(lines) == 2

    supervise(Role("victim", partial(live, tmp_path, "victim")), until=killed)
    assert "victim was ended by SIGKILL" in caplog.text


def test_expected_failure_of_a_child_is_a_line_and_no_trace(capfd: pytest.CaptureFixture[str]) -> None:
    logging.basicConfig(force=True)
    began = time.monotonic()
    supervise(Role("asker", refuse), until=lambda: time.monotonic() - began > 0.3)
    assert "asker: nobody answers" in (err := capfd.readouterr().err)
    assert "Traceback" not in err


def test_bug_that_ends_a_child_is_a_line_of_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """So it is redacted, and of the form that the operator chose."""
    logging.basicConfig(force=True, format="<%(message)s>")
    supervise(Role("stumbler", partial(stumble, tmp_path)), until=lambda: len(notes(tmp_path)) == 2)
    err = capfd.readouterr().err
    told = err.count("<stumbler: this is a bug in Assay>\nTraceback")
    assert told == err.count("Traceback") == err.count("LookupError: the key is hunter2") >= 1
    assert "stumbler ended with exit code 1, starting it again" in err


def test_draining_waits_for_work_in_hand(tmp_path: Path) -> None:
    supervise(Role("finisher", partial(finish, tmp_path, 0.5)), until=lambda: notes(tmp_path))
    assert notes(tmp_path)[-1] == "finished"


def close(folder: Path) -> None:
    """Says that it was asked to end."""

    def stop(*_: object) -> None:
        note(folder, "closed")
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    live(folder, "closer")


def test_who_is_needed_by_the_others_is_drained_last(tmp_path: Path) -> None:
    roles = Role("closer", partial(close, tmp_path), last=True), Role("finisher", partial(finish, tmp_path, 0.5))
    supervise(*roles, until=lambda: len(notes(tmp_path)) == 2)
    assert notes(tmp_path)[2:] == ["finished", "closed"]


def test_draining_has_an_end_and_takes_grandchildren_along(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    supervise(Role("stubborn", partial(with_child, tmp_path)), until=lambda: notes(tmp_path), drain=0.3)
    assert time.monotonic() - began < 10
    assert "stubborn is killed" in caplog.text
    assert not any(map(running, notes(tmp_path)))


def test_what_is_to_be_closed_is_closed_before_draining(tmp_path: Path) -> None:
    order = []
    supervisor: Supervisor

    def stopping() -> None:
        order.append(len(notes(tmp_path)))

    supervisor = Supervisor(
        [Role("finisher", partial(finish, tmp_path, 0.1))],
        stopping=stopping,
        tick=lambda _: supervisor.stop() if notes(tmp_path) else None,
    )
    supervisor.run()
    assert order == [1]
    assert len(notes(tmp_path)) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_drain_and_are_handed_back(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    sent: list[signal.Signals] = []

    def send() -> bool:
        if notes(tmp_path) and not sent:
            sent.append(number)
            os.kill(os.getpid(), number)
        return False

    began = time.monotonic()
    supervise(Role("one", partial(live, tmp_path, "one")), until=send)
    assert time.monotonic() - began < 10
    assert not any(map(running, notes(tmp_path)))
    assert signal.getsignal(number) is before


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys; from functools import partial; from pathlib import Path\n"
        "from bot.supervise import Role, Supervisor; from tests.test_supervise import live\n"
        "Supervisor([Role('one', partial(live, Path(sys.argv[1]), 'one'))]).run()"
    )
    here = Path(__file__).parents[1]
    supervisor = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=here)
    give_up = time.monotonic() + 20
    while not notes(tmp_path):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    supervisor.kill()
    supervisor.wait()
    while any(map(running, notes(tmp_path))):
        assert time.monotonic() < give_up
        time.sleep(0.02)
