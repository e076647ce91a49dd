"""The command line: what an image is made of."""

import sys
from pathlib import Path

import pytest

from localwhisk.__main__ import _parser
from localwhisk.settings import ImageSource

HERE = Path(sys.prefix)


def parsed(*words):
    return _parser().parse_args(["--state", "/s", *words]).image


def test_an_image_has_the_environment_of_its_file(tmp_path):
    file = tmp_path / "x.env"
    file.write_text("# as docker run --env-file reads it\nA=1\n\nB=two words = 'three'\nC=\n")
    assert parsed("--image", f"x/y:1={HERE},{file}", "--image", f"z={HERE}") == [
        ("x/y:1", ImageSource(HERE, {"A": "1", "B": "two words = 'three'", "C": ""})),
        ("z", ImageSource(HERE)),
    ]


@pytest.mark.parametrize(("text", "said"), [
    ("x=/nowhere", "got 'x=/nowhere', expected NAME=VENV[,FILE] with a python in VENV/bin"),
    (f"={HERE}", f"got '={HERE}', expected NAME=VENV[,FILE] with a python in VENV/bin"),
    (f"x={HERE},/nowhere", "got '/nowhere', expected a file of lines NAME=value"),
    (f"x={HERE},bad", "bad: got 'numpy,json', expected NAME=value"),
])  # fmt: skip
def test_a_bad_image_is_refused_in_one_sentence(text, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bad").write_text("A=1\nnumpy,json\n")
    with pytest.raises(SystemExit):
        parsed("--image", text)
    assert capsys.readouterr().err.rstrip().endswith(f"error: argument --image: {said}")
