"""The process runner, on real processes."""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from bot.errors import ToolFailed
from workers.agent import OUTPUT_LIMIT, Command, Completed
from workers.sandbox.limits import Limits
from workers.sandbox.process import ProcessSandbox

PATH = os.environ["PATH"]


def sh(script: str, cwd: Path, timeout: float = 20, env: dict[str, str] | None = None) -> Command:
    return Command(["/bin/sh", "-c", script], cwd, timeout, env=env or {}, executes_code=True)


def run(script: str, cwd: Path, timeout: float = 20) -> Completed:
    return ProcessSandbox(PATH).run(sh(script, cwd, timeout))


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_it_tells_output_errors_and_exit_code(tmp_path: Path) -> None:
    done = run("echo out; echo err >&2; exit 3", tmp_path)
    assert (done.exit_code, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert not done.timed_out
    assert not done.truncated


def test_a_missing_program_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=r"no-such-tool cannot be started: .* Install it"):
        ProcessSandbox(PATH).run(Command(["no-such-tool"], tmp_path, 5))


def test_a_program_that_is_no_program_is_told_from_one_that_fails(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    with pytest.raises(ToolFailed, match="cannot be started: Exec format error"):
        ProcessSandbox(PATH).run(Command(["./broken"], tmp_path, 5))


def test_a_missing_folder_is_a_failure_to_start(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="cannot be started"):
        ProcessSandbox(PATH).run(Command(["/bin/sh", "-c", "true"], tmp_path / "none", 5))


def test_nothing_of_the_parents_environment_reaches_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_GITHUB_WEBHOOK_SECRET", "hush")
    done = ProcessSandbox(PATH).run(sh("env", tmp_path, env={"CI": "true"}))
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert names <= {"HOME", "TMPDIR", "LANG", "PATH", "CI", "PWD", "OLDPWD", "SHLVL", "_"}
    assert "CI=true" in done.stdout


def test_home_is_empty_and_gone_afterwards(tmp_path: Path) -> None:
    done = run('ls -A "$HOME"; touch "$HOME/left"; echo "$HOME"', tmp_path)
    home = done.stdout.strip()
    assert home
    assert not Path(home).exists()


def test_a_given_home_is_kept(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    sandbox = ProcessSandbox(PATH)
    for script in ('echo kept > "$HOME/note"', 'cat "$HOME/note"'):
        command = Command(["/bin/sh", "-c", script], tmp_path, 5, executes_code=True, home=tmp_path / "home")
        done = sandbox.run(command)
    assert done.stdout == "kept\n"


def test_ones_own_environment_is_kept_without_assays_secrets_and_gits_traps(tmp_path: Path) -> None:
    environ = {"PATH": PATH, "HOME": "/home/me", "MINE": "1", "ASSAY_X": "s", "OPENAI_API_KEY": "s", "GIT_DIR": "x"}
    done = ProcessSandbox(environ=environ).run(sh("env", tmp_path))
    assert "HOME=/home/me\n" in done.stdout
    assert "MINE=1\n" in done.stdout
    assert not any(word in done.stdout for word in ("ASSAY", "OPENAI", "GIT_DIR"))


def test_tools_are_assays_own_and_code_gets_the_operators_programs(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("ruff", "python"):
        (folder / name).write_text("#!/bin/sh\necho operators\n")
        (folder / name).chmod(0o755)
    sandbox = ProcessSandbox(f"{folder}:{PATH}")
    assert sandbox.run(Command(["ruff", "--version"], tmp_path, 20)).stdout.startswith("ruff ")
    assert sandbox.run(Command(["python"], tmp_path, 20, executes_code=True)).stdout == "operators\n"
    assert sandbox.which("ruff") == str(Path(sys.executable).parent / "ruff")
    assert sandbox.which("no-such-tool") is None


def test_the_wall_clock_ends_the_whole_tree(tmp_path: Path) -> None:
    done = run("echo begun; sleep 60 & echo $! > pid; wait", tmp_path, timeout=0.5)
    assert done.timed_out
    assert done.exit_code is None
    assert done.stdout == "begun\n"
    assert done.seconds < 5
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("ending", ["exit 0", "sleep 60"])
def test_a_grandchild_that_left_its_session_is_ended_too(tmp_path: Path, ending: str) -> None:
    daemon = (
        "setsid sh -c 'setsid sh -c \"echo \\$\\$ > pid; exec sleep 60\" & exit' & while [ ! -s pid ]; do :; done; "
    )
    done = run(f"env -i PATH={PATH} sh -c {_quote(daemon)}; {ending}", tmp_path, timeout=2)
    assert done.timed_out == (ending != "exit 0")
    assert gone(int((tmp_path / "pid").read_text()))


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_a_tree_that_keeps_forking_is_ended(tmp_path: Path) -> None:
    mark = f"0.0100{os.getpid()}"
    run(f"for n in 1 2 3; do setsid sh -c 'while :; do sleep {mark} & done' & done; sleep 0.3", tmp_path)
    time.sleep(0.1)
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if mark in " ".join(command)]


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """A worker that is killed leaves no command behind."""
    program = (
        "import sys; from pathlib import Path; from workers.agent import Command; "
        "from workers.sandbox.process import ProcessSandbox; "
        f"ProcessSandbox().run(Command(['/bin/sh', '-c', 'echo $$ > pid; sleep 60'], Path({str(tmp_path)!r}), 60))"
    )
    with psutil.Popen([sys.executable, "-c", program]) as worker:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            time.sleep(0.01)
        worker.kill()
    assert gone(int((tmp_path / "pid").read_text()))


def test_output_is_bounded_and_the_rest_drained(tmp_path: Path) -> None:
    done = run(f"yes | head -c {OUTPUT_LIMIT + 5_000_000}; echo end >&2", tmp_path)
    assert len(done.stdout) == OUTPUT_LIMIT
    assert done.truncated
    assert (done.exit_code, done.stderr) == (0, "end\n")


def test_lines_are_heard_as_they_come(tmp_path: Path) -> None:
    heard: list[tuple[str, float]] = []
    script = "printf 'one\\ntw'; sleep 0.3; printf 'o\\n\\n'; head -c 90000 /dev/zero | tr '\\0' x >&2; printf '\\nend'"
    command = Command(
        ["/bin/sh", "-c", script], tmp_path, 30, watch=lambda line: heard.append((line, time.monotonic()))
    )
    done = ProcessSandbox(PATH).run(command)
    lines = {line for line, _ in heard}
    assert lines == {"one", "two", "end", "x" * 2_000}
    assert dict(heard)["two"] - dict(heard)["one"] > 0.2
    assert done.stdout == "one\ntwo\n\n\nend"


def test_endless_output_is_ended(tmp_path: Path) -> None:
    done = run("exec yes", tmp_path, timeout=60)
    assert done.exit_code is None
    assert done.truncated
    assert not done.timed_out


def test_output_that_is_no_text_is_decoded_with_replacement(tmp_path: Path) -> None:
    assert run(r"printf '\377x'", tmp_path).stdout == "�x"


def test_stdin_is_given_or_closed(tmp_path: Path) -> None:
    sandbox = ProcessSandbox(PATH)
    assert sandbox.run(Command(["cat"], tmp_path, 5, stdin="text")).stdout == "text"
    assert sandbox.run(Command(["cat"], tmp_path, 5)).stdout == ""


def test_limits_hold(tmp_path: Path) -> None:
    sandbox = ProcessSandbox(PATH, limits=Limits(memory=300_000_000, file_size=1_000_000, open_files=50))
    done = sandbox.run(sh("ulimit -n; ulimit -c; head -c 2000000 /dev/zero > big; wc -c < big", tmp_path))
    assert done.stdout.split() == ["50", "0", "1000000"]
    greedy = Command([sys.executable, "-c", "x = bytearray(10**9)"], tmp_path, 20)
    assert "MemoryError" in sandbox.run(greedy).stderr


def test_processor_time_is_bounded_where_the_clock_is_not_looked_at(tmp_path: Path) -> None:
    """A process that the launcher could not reach still ends by its own limit."""
    done = ProcessSandbox(PATH).run(sh("ulimit -t", tmp_path, timeout=10))
    assert int(done.stdout) == 10 * (os.cpu_count() or 1) + 2


def test_signals_that_python_ignores_are_back_to_normal(tmp_path: Path) -> None:
    """`yes | head` ends by SIGPIPE; with the signal ignored it would complain instead."""
    done = run("yes | head -n 1", tmp_path)
    assert (done.stdout, done.stderr) == ("y\n", "")


def test_a_command_ended_by_a_signal_has_no_exit_code(tmp_path: Path) -> None:
    done = run("kill -9 $$", tmp_path)
    assert done.exit_code is None
    assert not done.timed_out


def test_arguments_are_never_read_by_a_shell(tmp_path: Path) -> None:
    assert ProcessSandbox(PATH).run(Command(["echo", "$(id); `id`"], tmp_path, 5)).stdout == "$(id); `id`\n"


def test_several_threads_do_not_disturb_one_another(tmp_path: Path) -> None:
    seen: dict[int, str] = {}

    def one(number: int) -> None:
        seen[number] = run(f"sleep 0.0{number}; echo {number}", tmp_path).stdout.strip()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: str(number) for number in range(6)}


def test_this_process_keeps_its_own_limits(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE), len(psutil.Process().open_files())
    run("true", tmp_path)
    assert (resource.getrlimit(resource.RLIMIT_NOFILE), len(psutil.Process().open_files())) == before


def test_its_level_promises_nothing() -> None:
    assert ProcessSandbox().level == "process runner (no isolation)"
