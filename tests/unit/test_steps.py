"""scripts/steps.py: real commands that wait for each other, fail and are stopped."""

import os
import re
import sys
import time

import pytest

import steps
from steps import FailedError


@pytest.fixture
def shell(tmp_path):
    """Make a work of a name and a line of shell, in a folder with the pipes `there` and `back`."""
    for name in ("there", "back"):
        os.mkfifo(tmp_path / name)
    return lambda name, line: (name, lambda of: of.run("sh", "-c", line, cwd=tmp_path))


def test_works_run_side_by_side(shell, tmp_path, capsys):
    works = [
        shell("a", "echo 1 > there; cat back > a"),
        shell("b", "cat there > b; echo 2 > back"),
        shell("c", "cp b c"),
    ]
    steps.together(works, 2)
    assert [(tmp_path / name).read_text() for name in "abc"] == ["2\n", "1\n", "1\n"]
    assert re.fullmatch(r"(a: \d+ s\n|b: \d+ s\n|c: \d+ s\n){3}", capsys.readouterr().out)


def test_works_run_in_their_order(shell, tmp_path):
    steps.together([shell(name, f"echo {name} >> all") for name in "abcd"], 1)
    assert (tmp_path / "all").read_text() == "a\nb\nc\nd\n"


def test_a_failure_ends_the_others_and_says_all(shell):
    command = "cat there; echo well; echo ill >&2; exit 3"
    works = [shell("a", "echo 1 > there; exec sleep 600"), shell("b", command)]
    began = time.monotonic()
    with pytest.raises(FailedError) as failure:
        steps.together([*works, *(shell(str(number), "exec sleep 600") for number in range(9))], 2)
    assert str(failure.value) == f"sh -c {command}: ended with 3 and said:\n1\nwell\nill"
    assert time.monotonic() - began < 300


class Reader:
    """Standard output that answers what it is told: the command goes on when its progress was shown."""

    def __init__(self, awaited, answer):
        self.awaited, self.answer, self.lines = awaited, answer, []

    def write(self, line):
        self.lines.append(line)
        if self.awaited in line and self.answer:
            self.answer.write_text("go on")
            self.answer = None

    def flush(self):
        pass


def test_what_takes_long_shows_how_far_it_is(shell, tmp_path, monkeypatch):
    reader = Reader("(half way)", tmp_path / "back")
    monkeypatch.setattr(sys, "stdout", reader)
    steps.together([shell("a", "echo half way; cat back > a")], 1, interval=0.02)
    assert (tmp_path / "a").read_text() == "go on"
    assert any(re.fullmatch(r"at work: a \d+ s \(half way\)\n", line) for line in reader.lines)
    assert re.fullmatch(r"a: \d+ s\n", reader.lines[-1])
