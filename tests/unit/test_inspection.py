"""What the reducer refuses of a state: every field poisoned, every damage of the file, and seeded mutations of both."""

import json
import random
import re

import numpy as np
import pytest

from common.errors import InspectionError
from common.rounds import averaging, inspection
from common.rounds.inspection import Due, Inspected
from common.storage import state

W, STEPS, SLOT = "trainable.0000.w", "optimizer.0000.i", "optimizer.0001.m"
AVERAGE, VARIANCE = "weight.0000.mean", "weight.0001.variance"
TENSORS = {
    W: np.array([1.0, 2.0, 3.0], np.float32),
    AVERAGE: np.zeros(2, np.float32),
    VARIANCE: np.ones(2, np.float32),
    SLOT: np.full((3, 2), 1e200),
    STEPS: np.array(13),
    "seed.0000.state": np.array([1, 2], np.uint32),
}
RULES = {
    **dict.fromkeys((W, SLOT), "mean"),
    **dict.fromkeys((STEPS, "seed.0000.state"), "keep"),
    AVERAGE: f"moments-mean:{VARIANCE}",
    VARIANCE: f"moments-variance:{AVERAGE}",
}
DUE = Due(round=4, lane=1, step=13, examples=67, validated=False, start_rows=0)
SUMS = {"loss": [12.5, 67.0], "accuracy": [60.0, 67.0], "cosine": [-3.0, 60.0]}
MOVES = {AVERAGE: 0.99, VARIANCE: 0.99}
UPDATES = {AVERAGE: 26, VARIANCE: 26}
PROGRESS = state.Progress(RULES, 4, 1, 13, 67, SUMS, 2.0, 3.0, 1 << 28, None, "a line", ["x: avx"], MOVES, UPDATES)


def make(folder, tensors=TENSORS, metadata=None):
    """Return the bytes of a state."""
    state.save(folder / "state", tensors, metadata or PROGRESS.pack())
    return (folder / "state").read_bytes()


def inspect(body, due=DUE):
    """Read a state wholly, as an average does."""
    lane = Inspected(lambda begin, end: body[begin:end], 64, len(body), due)
    lane.read_all()
    return lane


def refuse(body, sentence, due=DUE):
    with pytest.raises(InspectionError) as caught:
        inspect(body, due)
    assert re.search(sentence, str(caught.value)), str(caught.value)
    assert len(str(caught.value)) < 300


def test_what_a_trainer_leaves_is_taken(tmp_path):
    lane = inspect(make(tmp_path))
    assert (lane.progress, lane.due) == (PROGRESS, DUE)


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("examples", "1000000000", r"^examples: got 1000000000, expected 67$"),
        ("examples", "1e308", r"^examples: got 1e\+308, expected 67$"),
        ("examples", "67.0", r"^examples: got 67.0, expected 67$"),
        ("examples", "true", r"^examples: got True, expected 67$"),
        ("examples", '"67"', r"^examples: got '67', expected 67$"),
        ("examples", "null", r"^examples: got None, expected 67$"),
        ("examples", "1" * 10_000, r"^metadata: got what cannot be read \(ValueError\)$"),
        ("round", "5", r"^round: got 5, expected 4$"),
        ("lane", "0", r"^lane: got 0, expected 1$"),
        ("step", "12", r"^step: got 12, expected 13$"),
        ("seconds", "-1.0", r"^seconds: got -1.0, expected 0\.\.4550$"),
        ("seconds", "NaN", r"^seconds: got nan, expected 0\.\.4550$"),
        ("activation_seconds", "1e300", r"^activation_seconds: got 1e\+300, expected 0\.\.4550$"),
        ("activation_seconds", "[]", r"^activation_seconds: got \[\], expected 0\.\.4550$"),
        ("memory", "-5", r"^memory: got -5, expected 0\.\.1.09951e\+12$"),
        ("memory", "Infinity", r"^memory: got inf, expected"),
        ("start_sums", '{"loss": [1.0, 67.0]}', r"^start_sums: got \{.*\}, expected None$"),
        ("sums", "{}", r"^sums: got \{\}, expected those of loss and metrics$"),
        ("sums", "[]", r"^sums: got \[\], expected those of loss and metrics$"),
        ("sums", '{"loss": [1.0]}', r"^sums: 'loss': got \[1.0\], expected a total and a count$"),
        ("sums", '{"loss": [NaN, 67.0]}', r"^sums: 'loss': total: got nan, expected"),
        ("sums", '{"loss": [1e300, 67.0]}', r"^sums: 'loss': total: got 1e\+300, expected"),
        ("sums", '{"loss": [1.0, 66.0]}', r"^sums: loss: count: got 66.0, expected 67.0$"),
        ("sums", '{"loss": [1.0, -1.0]}', r"^sums: 'loss': count: got -1.0, expected 0\.\."),
        ("sums", '{"loss": [1.0, 67.0], "accuracy": [134.0, 67.0]}', r"^sums: 'accuracy': total: got 134.0"),
        ("sums", '{"loss": [1.0, 67.0], "x": [1.0, Infinity]}', r"^sums: 'x': count: got inf"),
        ("processors", "5", r"^processors: got 5, expected a few names$"),
        ("processors", json.dumps(["x"] * 99), r"^processors: got \['x', .*\], expected a few names$"),
        ("processors", json.dumps(["x" * 999]), r"^processors: got \['x.*x'\], expected a few names$"),
        ("decays", "[]", r"^decays: got \[\] and .*, expected objects$"),
        ("decays", "{}", r"^updates: got .*, expected those of \{\}$"),
        ("decays", json.dumps({AVERAGE: 0.9, VARIANCE: 2.0}), r"^decays: 'weight.0001.variance': got 2.0, exp"),
        ("decays", json.dumps({STEPS: 0.9, VARIANCE: 0.9}), r"^updates: got .*, expected those of"),
        ("updates", "5", r"^decays: got .* and 5, expected objects$"),
        ("updates", json.dumps({AVERAGE: 26}), r"^updates: got .*, expected those of"),
        ("updates", json.dumps(UPDATES | {AVERAGE: 3}), r"^updates: 'weight.0000.mean': got 3, expected 12\.\.67000$"),
        ("updates", json.dumps(UPDATES | {AVERAGE: -1}), r"^updates: 'weight.0000.mean': got -1, expected 12\.\."),
        ("updates", json.dumps(UPDATES | {AVERAGE: 10**9}), r"^updates: 'weight.0000.mean': got 1000000000, expected"),
        ("validation", '{"loss": 1.0}', r"^validation: got \{'loss': 1.0\}, expected None$"),
        ("rules", json.dumps(dict.fromkeys(RULES, "keep")), r"^rules: '.*': got 'keep', expected mean$"),
        ("rules", json.dumps(RULES | {STEPS: "mean"}), r"^rules: 'optimizer.0000.i': got 'mean', expected keep$"),
        ("rules", json.dumps(RULES | {W: f"moments-mean:{W}"}), r"^rules: 'trainable.0000.w': got .*, expected mean$"),
        ("rules", json.dumps(RULES | {AVERAGE: "mean"}), r"^rules: 'weight.0001.variance': got .*, expected mean$"),
        ("rules", json.dumps(RULES | {VARIANCE: 5}), r"^rules: 'weight.*': got .*, expected mean$"),
        ("rules", json.dumps({W: "mean"}), r"^rules: got .*, expected one for each of 6 tensors$"),
        ("rules", "[]", r"^rules: got \[\], expected one for each of 6 tensors$"),
        ("rules", "[" * 100_000, r"^metadata: got what cannot be read \(\w+\)$"),
    ],
)  # fmt: skip
def test_what_a_state_says_of_itself_is_held_to_the_plan(tmp_path, field, text, sentence):
    refuse(make(tmp_path, metadata={**PROGRESS.pack(), field: text}), sentence)


@pytest.mark.parametrize("field", ["rules", "round", "lane", "step"])
def test_what_a_state_must_say_is_missed(tmp_path, field):
    said = {name: text for name, text in PROGRESS.pack().items() if name != field}
    refuse(make(tmp_path, metadata=said), r"^metadata: got what cannot be read \(TypeError\)$")


@pytest.mark.parametrize(
    ("validation", "sentence"),
    [
        (None, r"^scores: got None, expected a loss and metrics$"),
        ({"accuracy": 0.5}, r"^scores: got \{'accuracy': 0.5\}, expected a loss and metrics$"),
        ({"loss": 1.0, "accuracy": 1e9}, r"^scores: 'accuracy': got 1000000000.0, expected 0\.\."),
        ({"loss": 1.0, "my_accuracy": 1e9}, r"^validation: 'my_accuracy': got 1000000000.0, expected 0\.\.1$"),
        ({"loss": 1.0, "accuracy": None}, r"^validation: 'accuracy': got None, expected 0\.\.1$"),
    ],
)
def test_an_accuracy_that_weighs_a_lane_is_one(tmp_path, validation, sentence):
    due = Due(4, 1, 13, 67, validated=True, start_rows=0)
    said = {**PROGRESS.pack(), "validation": json.dumps(validation)}
    refuse(make(tmp_path, metadata=said), sentence, due)
    fine = {**PROGRESS.pack(), "validation": '{"loss": 1.0, "accuracy": 0.25}'}
    assert inspect(make(tmp_path, metadata=fine), due).progress.validation == {"loss": 1.0, "accuracy": 0.25}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (W, np.array([0, np.nan, 0], np.float32), r"^trainable.0000.w: got NaN or a number beyond 4.61e\+18$"),
        (W, np.array([0, -np.inf, 0], np.float32), r"^trainable.0000.w: got NaN or a number beyond 4.61e\+18$"),
        (W, np.array([0, 0, 1e30], np.float32), r"^trainable.0000.w: got NaN or a number beyond 4.61e\+18$"),
        (AVERAGE, np.array([0, -1e30], np.float32), r"^weight.0000.mean: got NaN or a number beyond 4.61e\+18$"),
        (VARIANCE, np.array([0, 1e38], np.float32), r"^weight.0001.variance: got NaN or a number beyond 8.51e\+37$"),
        (SLOT, np.full((3, 2), np.inf), r"^optimizer.0001.m: got NaN or a number beyond 1.8e\+308$"),
        ("x", np.zeros(2), r"^tensors: got the name 'x', expected one of a model's variables$"),
    ],
)
def test_numbers_that_cannot_be_trained_on_are_refused(tmp_path, name, value, sentence):
    refuse(make(tmp_path, {**TENSORS, name: value}), sentence)


@pytest.mark.parametrize(
    "value", [np.zeros((3, 1), np.float32), np.zeros(3), np.zeros(3, np.float16)], ids=["shape", "wider", "narrower"]
)
def test_other_tensors_have_another_signature(tmp_path, value):
    known = inspect(make(tmp_path)).signature
    assert inspect(make(tmp_path, {**TENSORS, W: value})).signature != known
    assert inspect(make(tmp_path, {**TENSORS, W: np.ones(3, np.float32)})).signature == known
    for field, text in (("sums", '{"loss": [12.5, 67.0]}'), ("decays", json.dumps({AVERAGE: 0.9, VARIANCE: 0.9}))):
        assert inspect(make(tmp_path, metadata=PROGRESS.pack() | {field: text})).signature != known


@pytest.mark.parametrize(
    ("said", "known", "odd"),
    [("aaa", None, []), ("aba", None, [1]), ("ab", None, [0, 1]), ("abc", None, [0, 1, 2]), ("bba", "a", [0, 1])],
)
def test_most_lanes_are_believed_where_nothing_is_known(said, known, odd):
    assert inspection.dissenters(dict(enumerate(said)), known) == odd


def rewritten(change):
    """Change the header of a file after it was made."""

    def make(body):
        size = state.header_size(body)
        header = json.loads(body[8:size])
        text = change(header) or json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + body[size:]

    return make


def entry(**changes):
    """Change what the header says of the weights."""
    return rewritten(lambda header: header[W].update(changes))


ODD = r"^state: trainable.0000.w: got no dtype, shape and offsets that fit each other$"
SIZE = r"^tensors: got a file of \d+ bytes, expected \d+ by its header$"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda body: b"", r"^state: got 0 bytes, expected at least the 8 of a safetensors length$"),
        (lambda body: (200 << 20).to_bytes(8, "little") + body[8:], r"^state: got a header of 209715208 bytes"),
        (lambda body: (1 << 20).to_bytes(8, "little") + body[8:], r"^state: got the first .* expected the 1048584"),
        (rewritten(lambda header: b"nope"), r"^state: got a header that is no JSON \(JSONDecodeError\)$"),
        (rewritten(lambda header: b"\xff\xfe"), r"^state: got a header that is no JSON \(\w+\)$"),
        (rewritten(lambda header: b"[" * 200_000), r"^state: got a header that is no JSON \(\w+\)$"),
        (rewritten(lambda header: b"[]"), r"^state: got a header without tensors or with other metadata than texts$"),
        (rewritten(lambda header: header.update(__metadata__={"a": 1})), r"other metadata than texts$"),
        (rewritten(lambda header: header.update({W: 5})), ODD),
        (rewritten(lambda header: header[W].pop("shape") and None), ODD),
        (entry(dtype="BF16"), ODD),
        (entry(dtype=[]), ODD),
        (entry(shape=[-3]), ODD),
        (entry(shape=[True, 3]), ODD),
        (entry(shape=[1 << 200]), ODD),
        (entry(shape=[3] + [1] * 40), ODD),
        (entry(shape=[4]), ODD),
        (entry(shape=[10**4000] * 40), ODD),
        (entry(data_offsets=["0", "12"]), ODD),
        (entry(data_offsets=[12, 0]), ODD),
        (entry(data_offsets=[0, 12]), r"^state: \S+ begins at byte \d+, expected \d+, where others end$"),
        (entry(data_offsets=[1 << 40, (1 << 40) + 12]), r"^state: \S+ begins at byte \d+, expected \d+"),
        (lambda body: body[:-1], SIZE),
        (lambda body: body + b"x", SIZE),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(tmp_path, damage, sentence):
    refuse(damage(make(tmp_path)), sentence)


def test_tensors_in_another_order_are_refused(tmp_path):
    def swap(header):
        one, other = header["weight.0000.mean"], header["weight.0001.variance"]
        one["data_offsets"], other["data_offsets"] = other["data_offsets"], one["data_offsets"]

    refuse(rewritten(swap)(make(tmp_path)), r"^tensors: got another order than by width and name$")


VALUES = [0, -1, 1, 2, 13, 67, 1 << 40, 1 << 70, 1e308, -0.5, True, None, "", "keep", "mean", "F64", [], [0, 8], {}]


def mutated(value, dice):
    """Return a JSON value with one part of it, anywhere, replaced, dropped or doubled."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        name = dice.choice(sorted(value))
        kept = {key: part for key, part in value.items() if key != name}
        return kept if dice.random() < 0.1 else {**kept, name: mutated(value[name], dice)}
    if isinstance(value, list) and value and dice.random() < 0.9:
        place = dice.randrange(len(value))
        return [*value[:place], *([] if dice.random() < 0.1 else [mutated(value[place], dice)]), *value[place + 1 :]]
    return dice.choice(VALUES)


def test_a_mutated_header_is_refused_or_changes_nothing_that_is_believed(tmp_path):
    """Whatever is taken has the tensors and numbers of the undisturbed state, but for what a lane measures alone."""
    body, dice, taken = make(tmp_path), random.Random(14), 0
    size, whole = state.header_size(body), inspect(body)
    header = json.loads(body[8:size])
    said = {name: text if name == "last_lines" else json.loads(text) for name, text in header["__metadata__"].items()}
    for _ in range(3000):
        changed = mutated({**header, "__metadata__": said}, dice)
        if isinstance(changed, dict) and isinstance(changed.get("__metadata__"), dict):
            packed = changed["__metadata__"].items()
            changed["__metadata__"] = {n: v if n == "last_lines" else json.dumps(v) for n, v in packed}
        text = json.dumps(changed).encode()
        other = len(text).to_bytes(8, "little") + text + body[size:]
        try:
            lane = inspect(other)
        except InspectionError:
            continue
        if lane.signature != whole.signature:  # not that of the other lanes, or of the round's start
            continue
        taken += 1
        assert averaging.shapes(lane.tensors) == averaging.shapes(whole.tensors)
        assert [lane.chunk(name, 0, 1).tobytes() for name in TENSORS] == [
            whole.chunk(n, 0, 1).tobytes() for n in TENSORS
        ]
        believed = ("rules", "round", "lane", "step", "examples", "validation", "decays")
        assert [getattr(lane.progress, name) for name in believed] == [getattr(PROGRESS, name) for name in believed]
        assert 0 <= lane.progress.activation_seconds <= 350 * 13 and np.isfinite(lane.progress.memory)
        assert (
            lane.progress.sums["loss"][1] == 67 and np.isfinite([pair[0] for pair in lane.progress.sums.values()]).all()
        )
    assert 30 < taken < 1500


def test_every_bit_of_the_length_and_the_header_may_turn(tmp_path):
    body, dice = make(tmp_path), random.Random(15)
    whole = inspect(body)
    size = state.header_size(body)
    for _ in range(2000):
        bit = dice.randrange(8 * size)
        other = bytearray(body)
        other[bit // 8] ^= 1 << bit % 8
        try:
            lane = inspect(bytes(other))
        except InspectionError:
            continue
        assert (lane.progress.examples, lane.progress.rules, list(lane.tensors)) == (67, RULES, list(whole.tensors))


@pytest.mark.parametrize("sums", [None, {}, {"loss": [1.0, 19.0]}, {"loss": [float("nan"), 20.0]}, [1.0]])
def test_a_share_of_the_validation_set_that_was_not_evaluated_as_planned_is_refused(sums):
    inspection.check_measured("start_sums", {"loss": [1.0, 20.0]}, 20)
    inspection.check_measured("start_sums", None, 0)
    inspection.check_measured("start_sums", {}, 0)
    with pytest.raises(InspectionError):
        inspection.check_measured("start_sums", sums, 20)
