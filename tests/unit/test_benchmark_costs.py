"""Costs are read from the platform's records: containers only, each once."""

import pytest
from benchmarks import costs


def record(name, start, duration, memory, kind="python:3.11", wait=0, result=None, init=None):
    annotations = {"kind": kind, "limits": {"memory": memory, "timeout": 60000, "logs": 10}, "waitTime": wait}
    annotations |= {"initTime": init} if init else {}
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


def test_a_warm_trainers_first_step():
    warm = record("trainer", 1_000, 4_000, 512, wait=30, result={"wave": 1, "start_seconds": 0.05})
    cold = record("trainer", 1_000, 4_000, 512, wait=30, result={"wave": 0, "start_seconds": 0.9}, init=60)
    assert costs.warm_steps([warm, cold]) == [pytest.approx(0.08)]


def test_a_cold_trainers_first_step_is_the_warm_ups_less_its_trace():
    cold = record("trainer", 1_000, 1_500, 512, wait=30, result={"trace_seconds": 0.6}, init=60)
    assert costs.first_steps([cold, *WAVES]) == [pytest.approx(0.93)]


def test_a_record_of_everything():
    assert costs.summary(WAVES) == {
        "gb_seconds": 6.812,
        "activations": 5,
        "wave_overhead": 0.3,
        "first_step": None,
        "warm_step": None,
    }
