"""The reducer's arithmetic against numpy: different states and unequal weights in every lane."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RunError
from common.rounds import averaging
from common.storage import state
from common.storage.file import parts

RULES = {
    "trainable.0000.kernel": "mean",
    "trainable.0001.scalar": "mean",
    "weight.0002.mean": "moments-mean:weight.0003.variance",
    "weight.0003.variance": "moments-variance:weight.0002.mean",
    "optimizer.0000.iteration": "keep",
    "seed.0000.state": "keep",
}


def tensors(seed):
    random = np.random.default_rng(seed)
    return {
        "trainable.0000.kernel": random.normal(size=(7, 5)).astype(np.float32),
        "trainable.0001.scalar": np.float32(random.normal()).reshape(()),
        "weight.0002.mean": random.normal(size=3).astype(np.float32),
        "weight.0003.variance": random.uniform(1, 2, size=3).astype(np.float32),
        "optimizer.0000.iteration": np.int64(100 + seed).reshape(()),
        "seed.0000.state": np.array([seed, 7], np.uint32),
    }


def lane(values, path, ahead=1 << 20, **progress):
    state.save(path, values, state.Progress(rules=RULES, round=0, lane=0, step=1, **progress).pack())
    body = path.read_bytes()
    return averaging.Lane(lambda begin, end: body[begin:end], ahead)


def read(pieces, path):
    path.write_bytes(b"".join(pieces))
    return state.load(path)


def test_four_lanes_of_unequal_counts_equal_numpys_average(tmp_path):
    values = [tensors(seed) for seed in range(4)]
    lanes = [lane(value, tmp_path / f"{seed}") for seed, value in enumerate(values)]
    weights = [3.0, 10.0, 1.0, 86.0]
    got, metadata = read(averaging.merged(lanes, weights, {"round": "1"}), tmp_path / "out")
    assert metadata == {"round": "1"}
    for name in ("trainable.0000.kernel", "trainable.0001.scalar", "weight.0002.mean"):
        expected = np.average([value[name].astype(np.float64) for value in values], axis=0, weights=weights)
        np.testing.assert_allclose(got[name], expected, rtol=1e-6)
        assert got[name].dtype == np.float32 and got[name].shape == values[0][name].shape
    np.testing.assert_array_equal(got["optimizer.0000.iteration"], 100)
    np.testing.assert_array_equal(got["seed.0000.state"], [0, 7])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(0, 1000))
def test_merged_moments_are_those_of_the_samples_together(counts, seed):
    random = np.random.default_rng(seed)
    samples = [random.normal(lane, 1 + lane, size=(count, 3)) for lane, count in enumerate(counts)]
    means, variances = [s.mean(axis=0) for s in samples], [s.var(axis=0) for s in samples]
    together = np.concatenate(samples)
    np.testing.assert_allclose(averaging.mean(means, counts), together.mean(axis=0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        averaging.total_variance(variances, means, counts), together.var(axis=0), rtol=1e-9, atol=1e-12
    )


def test_one_lane_gives_itself_back_exactly(tmp_path):
    values = tensors(3)
    got, _ = read(averaging.merged([lane(values, tmp_path / "0")], [12345.0], {}), tmp_path / "out")
    assert state.digest(got) == state.digest(values)


def test_four_equal_lanes_give_that_lane_back(tmp_path):
    values = tensors(5)
    lanes = [lane(values, tmp_path / f"{number}") for number in range(4)]
    got, _ = read(averaging.merged(lanes, [3.0, 1.0, 7.0, 11.0], {}), tmp_path / "out")
    for name, value in values.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-6)


def test_outer_momentum_moves_trainable_weights_only(tmp_path):
    values, weights = [tensors(seed) for seed in range(3)], [1.0, 2.0, 4.0]
    lanes = [lane(value, tmp_path / f"{seed}") for seed, value in enumerate(values)]
    older, begin = tensors(9), tensors(8)
    outer = averaging.Outer(0.5, lane(begin, tmp_path / "start"), lane(older, tmp_path / "before"))
    averaged, _ = read(averaging.merged(lanes, weights, {}), tmp_path / "averaged")
    got, _ = read(averaging.merged(lanes, weights, {}, outer), tmp_path / "out")
    for name in ("trainable.0000.kernel", "trainable.0001.scalar"):
        average = np.average([value[name].astype(np.float64) for value in values], axis=0, weights=weights)
        velocity = 0.5 * (begin[name] - older[name]) + (average - begin[name])
        np.testing.assert_allclose(got.pop(name), begin[name] + velocity, rtol=1e-5, atol=1e-6)
    assert state.digest(got) == state.digest({name: averaged[name] for name in got})


def test_a_fresh_optimizer_replaces_the_lanes_and_nothing_else(tmp_path):
    lanes = [lane(tensors(seed), tmp_path / f"{seed}") for seed in range(2)]
    averaged, _ = read(averaging.merged(lanes, [1.0, 2.0], {}), tmp_path / "averaged")
    fresh = lane(tensors(40), tmp_path / "fresh")
    got, _ = read(averaging.merged(lanes, [1.0, 2.0], {}, None, fresh), tmp_path / "out")
    assert state.digest(got) == state.digest({**averaged, "optimizer.0000.iteration": np.int64(140).reshape(())})


def test_a_start_of_other_tensors_is_refused(tmp_path):
    other = lane({**tensors(1), "trainable.0000.kernel": np.zeros((2, 2), np.float32)}, tmp_path / "other")
    same = lane(tensors(0), tmp_path / "0")
    for outer, fresh in ((averaging.Outer(0.5, same, other), None), (None, other)):
        with pytest.raises(RunError, match="got other tensors than lane 0"):
            list(averaging.merged([same], [1], {}, outer, fresh))


def test_chunks_and_parts_give_the_same_bytes(tmp_path, monkeypatch):
    lanes = [lane(tensors(seed), tmp_path / f"{seed}") for seed in range(2)]
    whole = b"".join(averaging.merged(lanes, [1, 2], {}))
    monkeypatch.setattr(averaging, "CHUNK", 4)
    pieces = list(parts(averaging.merged(lanes, [1, 2], {}), 100))
    assert b"".join(pieces) == whole
    assert all(len(piece) >= 100 for piece in pieces[:-1])


@pytest.mark.parametrize("ahead", [8, 16, 700, 1 << 20])
def test_whatever_is_read_ahead_the_average_is_the_same(tmp_path, ahead):
    whole = [lane(tensors(seed), tmp_path / f"{seed}") for seed in range(2)]
    lanes = [lane(tensors(seed), tmp_path / f"{seed}", ahead) for seed in range(2)]
    expected = b"".join(averaging.merged(whole, [1, 2], {}))
    assert b"".join(averaging.merged(lanes, [1, 2], {})) == expected


def test_small_tensors_are_read_together(tmp_path):
    state.save(tmp_path / "x", tensors(0), state.Progress(rules=RULES, round=0, lane=0, step=1).pack())
    body, reads = (tmp_path / "x").read_bytes(), []

    def read(begin, end):
        reads.append((begin, end))
        return body[begin:end]

    b"".join(averaging.merged([averaging.Lane(read, 1 << 20)], [1], {}))
    assert reads == [(0, 1 << 20)]


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0], [-1.0, 2.0], [float("nan"), 1.0]])
def test_weights_that_cannot_weigh_are_refused(tmp_path, weights):
    lanes = [lane(tensors(seed), tmp_path / f"{seed}") for seed in range(2)]
    with pytest.raises(RunError, match="average: got"):
        list(averaging.merged(lanes, weights, {}))


def test_other_tensors_are_refused(tmp_path):
    other = {**tensors(1), "trainable.0000.kernel": np.zeros((2, 2), np.float32)}
    lanes = [lane(tensors(0), tmp_path / "0"), lane(other, tmp_path / "1")]
    with pytest.raises(RunError, match="lane 1 got other tensors than lane 0"):
        list(averaging.merged(lanes, [1, 1], {}))


def test_a_state_that_is_cut_off_is_told(tmp_path):
    lane(tensors(0), tmp_path / "lane")
    body = (tmp_path / "lane").read_bytes()[:-9]
    cut = averaging.Lane(lambda begin, end: body[begin:end], 1 << 20)
    with pytest.raises(RunError, match=r"^state: got a file that ends within weight.*, expected it up to byte \d+$"):
        b"".join(averaging.merged([cut], [1.0], {}))


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_whole_numbers_of_layers_must_be_the_same_in_all_lanes(tmp_path, monkeypatch, dtype):
    monkeypatch.setitem(RULES, "weight.0004.table", "keep")
    tables = [np.arange(9).astype(dtype) for _ in range(3)]
    lanes = [lane({**tensors(0), "weight.0004.table": one}, tmp_path / f"{k}") for k, one in enumerate(tables)]
    got, _ = read(averaging.merged(lanes, [1.0, 2.0, 3.0], {}), tmp_path / "out")
    np.testing.assert_array_equal(got["weight.0004.table"], tables[0])
    tables[2][8] += 1
    odd = lane({**tensors(0), "weight.0004.table": tables[2]}, tmp_path / "odd")
    with pytest.raises(RunError) as error:
        list(averaging.merged([*lanes[:2], odd], [1.0, 2.0, 3.0], {}))
    expected = "weight.0004.table: lane 2 got other whole numbers than lane 0, expected the same in all lanes"
    assert str(error.value) == expected
    last = averaging.merged([*lanes[:2], odd], [1.0, 2.0, 3.0], {}, rules=RULES)  # of averages of several rounds
    np.testing.assert_array_equal(read(last, tmp_path / "last")[0]["weight.0004.table"], tables[0])


def test_metadata_survives(tmp_path):
    one = lane(tensors(0), tmp_path / "0", examples=5, sums={"loss": [2.0, 5.0]})
    _, metadata = read(averaging.merged([one], [1], {"lanes": json.dumps([1])}), tmp_path / "out")
    assert json.loads(metadata["lanes"]) == [1]
