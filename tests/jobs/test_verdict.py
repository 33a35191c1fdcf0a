from pathlib import Path

import pytest

from jobs.verdict import verdict


def cause(tmp_path: Path, code: int, log: str) -> str:
    (tmp_path / "log.txt").write_text(log)
    return verdict(code, tmp_path / "log.txt")["cause"]


@pytest.mark.parametrize(
    ("code", "log", "said"),
    [
        (-9, "", "out of memory (SIGKILL)"),
        (-11, "", "inside a library or driver (SIGSEGV)"),
        (-15, "", "from outside (SIGTERM)"),
        (1, "subprocess.CalledProcessError: Command '[…]' died with <Signals.SIGKILL: 9>.", "out of memory (SIGKILL)"),
        (1, "  exitcode  : -9 (pid: 7)", "out of memory (SIGKILL)"),
        (1, "traceback : Signal 11 (SIGSEGV) received by PID 7", "(SIGSEGV)"),
        (1, "ValueError: no\nsubprocess.CalledProcessError: Command", "exit code 1: ValueError: no"),
        (1, "no luck\n\n", "exit code 1: no luck"),
        (2, "", "exit code 2."),
        (3221225477, "", "exit code 0xc0000005."),
        (0, "", "without saying that its work is done"),
    ],
)
def test_the_cause_is_said_in_plain_words(tmp_path: Path, code: int, log: str, said: str) -> None:
    assert said in cause(tmp_path, code, log)


def test_what_an_earlier_attempt_left_in_the_log_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("died with <Signals.SIGKILL: 9>\n")
    earlier = log.stat().st_size
    log.write_text(log.read_text() + "ValueError: now\n")
    found = verdict(1, log, earlier)
    assert found["cause"].endswith("exit code 1: ValueError: now") and found["traceback"] == "ValueError: now"


def test_the_end_of_a_long_log_is_kept_and_a_missing_one_is_no_trouble(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("x\n" * 500_000 + "last\n")
    assert verdict(1, log)["traceback"].endswith("x\nlast")
    assert verdict(1, tmp_path / "none.txt")["traceback"] == ""
