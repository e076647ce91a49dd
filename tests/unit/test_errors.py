"""An exception's class on its way through the platform, which carries nothing but a text."""

import importlib.util
from pathlib import Path

import pytest

from common import errors
from common.errors import (
    AbsentError,
    AccessError,
    DatasetError,
    DlError,
    ModelError,
    ParameterError,
    RunError,
    StoreError,
    TransferError,
)

PROXY = Path(__file__).resolve().parents[2] / "runtime" / "image" / "proxy.py"


@pytest.fixture(scope="module")
def carried():
    """Give a function that returns the text that arrives when a step raises: the stock proxy makes the same one."""
    spec = importlib.util.spec_from_file_location("proxy", PROXY)
    proxy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(proxy)

    def carry(error):
        @errors.classified
        def main(_):
            raise error

        return proxy.call(main, {})["error"]

    return carry


class SpecialError(ModelError):
    """A kind of its own."""


@pytest.mark.parametrize(
    ("error", "text", "sentence"),
    [
        (ParameterError("workers: got 0"), "ParameterError: workers: got 0", "workers: got 0"),
        (DatasetError("x: got: y"), "DatasetError: x: got: y", "x: got: y"),
        (ModelError("model: got\n  two lines"), "ModelError: model: got two lines", "model: got two lines"),
        (SpecialError("s"), "ModelError: s", "s"),
        (RunError("run r was cancelled"), "RunError: run r was cancelled", "run r was cancelled"),
        (AbsentError("s3://b/k: none"), "AbsentError: s3://b/k: none", None),
        (AccessError("s3://b/k: access denied"), "AccessError: s3://b/k: access denied", "s3://b/k: access denied"),
        (StoreError("s3://b/k: away"), "StoreError: s3://b/k: away", None),
        (TransferError("GET x: RunError: y"), "TransferError: GET x: RunError: y", None),
        (KeyError("batch_shape"), "KeyError: 'batch_shape'", None),
        (MemoryError(), "MemoryError:", None),
        (ModelError("x" * 1_000_000), "ModelError: " + "x" * (errors.LONGEST - 15) + "...", "x" * 1985 + "..."),
    ],
)
def test_a_text_tells_what_trying_again_cannot_mend(carried, error, text, sentence):
    assert carried(error) == text
    assert errors.final(text) == sentence


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The action did not produce a valid response and exited unexpectedly.",
        "The action exhausted its memory and was aborted.",
        "Internal error: ModelError: x",
        "Too many actions in the composition.",
    ],
)
def test_what_the_platform_says_may_be_mended(text):
    assert errors.final(text) is None


def test_a_step_is_its_main_but_for_that():
    @errors.classified
    def main(args):
        return {"n": args["n"] + 1}

    assert main({"n": 1}) == {"n": 2}
    with pytest.raises(DlError, match="^KeyError: 'n'$"):
        main({})
