"""The benchmark's pictures: one for each question that the measurements answer, the same bytes each time."""

from benchmarks import plots

POINTS = [{"at": 10.0, "accuracy": 0.4}, {"at": 20.0, "accuracy": 0.6}]
KNOWN = {
    "single, 4 epochs": {1: {"seconds": 90.0, "memory": 700 << 20, "gb_seconds": 70.0, "points": POINTS}},
    "ours, K = 1": {1: {"seconds": 80.0, "memory": 300 << 20, "gb_seconds": 40.0}},
    "ours, 4 epochs": {1: {"seconds": 25.0, "memory": 240 << 20, "gb_seconds": 45.0}},
}


def test_everything_that_was_measured_is_drawn(tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
        plots.draw(KNOWN, folder)
    names = sorted(path.name for path in first.iterdir())
    assert names == ["accuracy.svg", "gb-seconds.svg", "memory.svg", "workers.svg"]
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_what_was_not_measured_is_not_drawn(tmp_path):
    plots.draw({"ours, K = 1": {1: {"seconds": 80.0, "memory": None}}}, tmp_path)
    assert list(tmp_path.iterdir()) == []
