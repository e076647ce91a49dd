"""The report's arithmetic and words, and a page that holds nothing but itself."""

import csv
import io
from html.parser import HTMLParser

import pytest
from tests.plans import plan_of

from common.plan.plan import Trainer
from common.reports import report
from common.rounds import shares
from common.rounds.ledger import Slice, Wave
from common.rounds.stopping import Stop

GB = 1 << 30
KILL = "The action did not produce a valid response and exited unexpectedly."
MEMORY = "The action exhausted its memory and was aborted."


def lane(number, loss, accuracy, examples, seconds, memory):
    sums = {"loss": [loss, examples], "accuracy": [accuracy, examples]}
    return {"lane": number, "sums": sums, "examples": examples, "activation_seconds": seconds, "memory": memory}


SUMMARIES = [
    [lane(0, 30.0, 4.0, 10, 2.0, GB), lane(1, 6.0, 2.0, 2, 3.5, 2 * GB)],
    [lane(0, 5.0, 9.0, 10, 1.0, GB // 2), lane(1, 1.0, 2.0, 2, 1.0, GB)],
]
ROWS = [
    {"round": 0, "loss": 3.0, "accuracy": 0.5, "examples": 12, "seconds": 3.5},
    {"round": 1, "loss": 0.5, "accuracy": pytest.approx(11 / 12), "examples": 12, "seconds": 1.0},
]


def wave(number, slices, seconds):
    return Wave(number, "me", 100.0, 200.0, tuple(slices), seconds)


def test_a_row_a_round():
    assert report.history(SUMMARIES, {}) == ROWS
    evaluated = [SUMMARIES[0], [{**one, "start_sums": {"loss": [3.0, 4.0]}} for one in SUMMARIES[1]]]
    assert [row["val_loss"] for row in report.history(evaluated, {"loss": 0.5})] == [0.75, 0.5]
    assert [row["val_loss"] for row in report.history(SUMMARIES, {"loss": 0.5})] == [None, 0.5]
    assert [row["val_loss"] for row in report.history(evaluated, {})] == [0.75, None]


def test_the_last_scores_are_the_last_averages():
    found = [{"validation_sums": {"loss": [1.0, 4.0]}}, {"validation_sums": {"loss": [2.0, 2.0]}}, {}]
    assert shares.last(found, Stop(2, 2, None)) == {"loss": 0.5}
    assert shares.last([{**found[0], "other_sums": {"loss": [1.0, 8.0]}}], Stop(2, 2, "", averaged=2)) == {
        "loss": 0.125
    }
    assert shares.last(found, Stop(2, 1, "goal")) == {}
    assert shares.last(found, Stop(2, 1, "keep_best", {"loss": 0.75})) == {"loss": 0.75}
    assert shares.last(found, Stop(2, 2, "average_last", {"loss": 0.75})) == {"loss": 0.75}


def test_cost():
    waves = [wave(0, [Slice(0, 0, 0), Slice(0, 1, 0)], 4.0), wave(1, [Slice(1, 0, 0), Slice(1, 1, 0)], 8.0)]
    assert report.activations(waves, 5, 2) == 1 + 5 + 2 + 3 + 4 + 1
    measured = [(2.0, GB), (3.5, 2 * GB), (1.0, GB // 2)]
    assert report.gb_seconds(measured, small=17.0) == 2.0 + 7.0 + 0.5 + 17.0 * 0.25


def test_warnings_name_short_memory():
    plan = plan_of(trainer=Trainer("trainer", 384, "trainer-512", None, None))
    assert report.warnings(plan, [wave(0, [Slice(0, 0, 0)], 1.0)]) == []
    halved = [Slice(0, 0, 0, 2, None, KILL), Slice(0, 0, 0, 3, 16, KILL), Slice(0, 1, 0, 1, 8)]
    end = "2 slices trained in micro-batches of 8 or more examples; " + (
        "with batch norm or dropout the weights are not those of whole batches"
    )
    killed = f"trainers were killed twice at the same steps, maybe for lack of memory ({KILL}): {end}"
    assert report.warnings(plan, [wave(0, halved, 1.0)]) == [killed]
    known = wave(1, [Slice(0, 0, 0, 4, 8, MEMORY)], 1.0)
    assert report.warnings(plan, [wave(0, halved, 1.0), known]) == [
        f"memory was short, in fresh containers too: {end.replace('2 slices', '3 slices')}"
    ]
    moved = Slice(0, 0, 0, 3, None, MEMORY, "trainer-512")
    assert report.warnings(plan, [wave(0, [moved], 1.0)]) == [
        "memory was short, in fresh containers too: 1 slices went to trainer-512"
    ]


@pytest.mark.parametrize(
    ("scores", "accuracy"),
    [
        ({"loss": 1.0, "mae": 2.0}, None),
        ({"loss": 1.0, "acc": 0.5}, 0.5),
        ({"loss": 1.0, "top": 0.9, "sparse_categorical_accuracy": 0.25}, 0.25),
    ],
)
def test_metrics_of_an_evaluation(scores, accuracy):
    metrics = {name: value for name, value in scores.items() if name != "loss"}
    assert report.metrics(scores) == {"accuracy": accuracy, "loss": 1.0, "metrics": metrics}


def test_csv_round_trip():
    rows = list(csv.DictReader(io.StringIO(report.table(report.history(SUMMARIES, {})))))
    assert [{name: float(cell) for name, cell in row.items()} for row in rows] == ROWS


class Cells(HTMLParser):
    """Collects a page's texts and attributes."""

    def __init__(self):
        super().__init__()
        self.tags, self.texts, self.attributes = [], [], {}

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {f"{tag}.{name}": value for name, value in attrs}

    def handle_data(self, data):
        self.texts.append(data)


def test_page_escapes_every_value_and_loads_nothing():
    evil = '<script src="http://x">&\'"'
    result = {
        "run": evil,
        "loss": 0.123456789,
        "accuracy": None,
        "rounds": report.history(SUMMARIES, {}),
        "warnings": [evil],
    }
    cells = Cells()
    cells.feed(report.page(result, {"dataset": evil, "$run": "$loss"}))
    assert "script" not in cells.tags
    assert not {name.split(".")[1] for name in cells.attributes} & {"src", "href"}
    for text in (evil, "0.123457", "null", "$run", "$loss", "round", "accuracy", "0.916667", "3.5"):
        assert text in cells.texts
    assert cells.attributes["polyline.points"] == "0.0,10.0 640.0,190.0"


def test_a_curve_of_one_point_and_a_flat_one():
    assert report.curve([2.0]) == "0.0,190.0"
    assert report.curve([2.0, 2.0]) == "0.0,190.0 640.0,190.0"
