"""Costs are read from the platform's records: containers only, each once."""

import pytest
from benchmarks import costs


def record(name, start, duration, memory, kind="python:3.11", wait=0, result=None):
    annotations = {"kind": kind, "limits": {"memory": memory, "timeout": 60000, "logs": 10}, "waitTime": wait}
    return {
        "name": name,
        "start": start,
        "duration": duration,
        "annotations": [{"key": key, "value": value} for key, value in annotations.items()],
        "response": {"result": result or {}},
    }


def trainer(wave, start, duration, wait, seconds):
    result = {"wave": wave, "train_seconds": seconds}
    return record("trainer", start, duration, 512, "python:3.11-tensorflow", wait, result)


WAVES = [
    trainer(0, 1_000, 4_000, 100, 3.5),
    trainer(0, 1_050, 5_000, 150, 3.0),
    trainer(1, 6_400, 2_000, 200, 1.5),
    trainer(1, 6_500, 2_500, 200, 2.0),
    record("dl-pipeline", 0, 11_000, 512, "sequence"),
    record("dl-pipeline", 10, 500, 128, "nodejs:20"),
]


def test_gb_seconds_count_containers_and_no_sum_of_them():
    assert costs.gb_seconds(WAVES) == pytest.approx(0.5 * (4 + 5 + 2 + 2.5) + 0.125 * 0.5)


def test_the_single_action_is_counted_at_the_memory_it_needs():
    assert costs.gb_seconds([record("single", 0, 40_000, 1024)]) == pytest.approx(0.75 * 40)


def test_a_waves_overhead_is_what_its_longest_trainer_leaves_until_the_next():
    # handed over at 900 and at 6200 ms; the longest took 5 s
    assert costs.wave_overheads(WAVES) == [pytest.approx(0.3)]


def test_a_record_of_everything():
    assert costs.summary(WAVES) == {
        "gb_seconds": 6.812,
        "activations": 5,
        "wave_overhead": 0.3,
        "trainer_overhead": 0.7,  # of 0.6, 2.15, 0.7 and 0.7
    }


def test_a_trainer_that_came_too_late_has_trained_nothing():
    late = record("trainer", 0, 20, 512, result={"late": True, "wave": 0})
    assert costs.starts([late]) == []
