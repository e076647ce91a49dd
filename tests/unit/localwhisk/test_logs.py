"""Logs: what lies between two sentinels, whatever came when."""

import asyncio
import re

import pytest

from localwhisk.logs import Logs

END = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n"
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}000Z (std(?:out|err): .*)", re.DOTALL)
ABNORMAL = "stderr: The action did not initialize or run as expected. Log data might be missing."


@pytest.fixture
def container(tmp_path):
    """Give logs and a function that writes to a stream as the container does."""
    paths = {name: tmp_path / f"{name}.log" for name in ("stdout", "stderr")}
    for path in paths.values():
        path.touch()

    def write(stream, text):
        with paths[stream].open("a") as file:
            file.write(text)

    return Logs(tmp_path), write


def collect(logs, limit=1 << 20, wait=True, abnormal=False):
    lines, found = asyncio.run(logs.collect(limit, wait, abnormal))
    return [LINE.fullmatch(line)[1] for line in lines], found


def test_each_activation_has_its_own_lines(container):
    logs, write = container
    write("stdout", f"a\n\nb\n{END}c\n{END}")
    write("stderr", f"{END}e\n{END}")
    assert collect(logs) == (["stdout: a", "stdout: ", "stdout: b"], True)
    assert collect(logs) == (["stdout: c", "stderr: e"], True)


def test_a_line_without_an_end_comes_before_its_sentinel(container):
    logs, write = container
    write("stdout", f"no newline{END}")
    write("stderr", END)
    assert collect(logs) == (["stdout: no newline"], True)


def test_missing_sentinels_are_waited_for_and_then_told(container):
    logs, write = container
    write("stdout", f"a\n{END}")
    lines, found = collect(logs)
    assert found is False
    assert lines == ["stdout: a", "stderr: There was an issue while collecting your logs. Data might be missing."]


def test_after_an_abnormal_end_there_is_no_wait(container):
    logs, write = container
    write("stdout", "half")
    assert collect(logs, wait=False, abnormal=True) == (["stdout: half", ABNORMAL], True)


def test_the_limit_counts_the_text_in_bytes(container):
    logs, write = container
    write("stdout", f"é\nab\nc\n{END}")
    write("stderr", END)
    cut = "stderr: Logs were truncated because the total bytes size exceeds the limit of 6 bytes."
    assert collect(logs, limit=6) == (["stdout: é", "stdout: ab", cut], True)


def test_skipped_output_belongs_to_nobody_and_a_long_file_is_cut(container):
    logs, write = container
    write("stdout", "x" * (1 << 20) + "\n")
    logs.skip()
    assert logs.files[0].path.stat().st_size == 0
    write("stdout", f"new\n{END}")
    write("stderr", END)
    assert collect(logs) == (["stdout: new"], True)


def test_much_output_is_searched_in_parts(container):
    logs, write = container
    filler = "x" * ((1 << 20) - 20) + "\n"  # the sentinel lies across the end of the first part
    write("stdout", f"{filler}{END}next\n{END}")
    write("stderr", END * 2)
    lines, found = collect(logs, limit=10)
    cut = "stderr: Logs were truncated because the total bytes size exceeds the limit of 10 bytes."
    assert (lines, found) == ([cut], True)
    assert collect(logs) == (["stdout: next"], True)
