"""One sentence of what Keras and TensorFlow say, from texts as they write them."""

import pytest

from common.training import causes

FORMAT = "The Conv2D op currently only supports the NHWC tensor format on the CPU."
NCHW = f"""Graph execution error:

Detected at node while/sequential_1/conv2d_1/convolution defined at (most recent call last):
<stack traces unavailable>
{FORMAT} The op was given the format: NCHW
\t [[{{{{node while/sequential_1/conv2d_1/convolution}}}}]] [Op:__inference_run_412]"""
DIMENSIONS = (
    "Dimensions must be equal, but are 4 and 3 for '{{node while/compile_loss/mse/sub}} = Sub[T=DT_FLOAT]"
    "(while/sequential_1/dense_1/BiasAdd, while/strided_slice)' with input shapes: [?,3], [?,4]."
)
CALLED = """Exception encountered when calling Sequential.call().

\x1b[1mInput 0 of layer "dense" is incompatible with the layer: expected axis -1 of input shape to have value 8\x1b[0m

Arguments received by Sequential.call():
  • inputs=tf.Tensor(shape=(1, 7), dtype=float32)"""


@pytest.mark.parametrize(
    ("text", "sentence", "of_values"),
    [
        (NCHW, f"{FORMAT} The op was given the format: NCHW", False),
        (DIMENSIONS, "Dimensions must be equal, but are 4 and 3 with input shapes: [?,3], [?,4].", False),
        (
            CALLED,
            'Input 0 of layer "dense" is incompatible with the layer: expected axis -1 of input shape to have value 8',
            False,
        ),
        (
            "2 root error(s) found.\n  (0) INVALID_ARGUMENT: Incompatible shapes: [32,3] vs. [32,4]\n [[{{node a/b}}]]",
            "Incompatible shapes: [32,3] vs. [32,4]",
            False,
        ),
        (
            "{{function_node __wrapped__Cholesky_device_/job:localhost/replica:0/task:0/device:CPU:0}} Cholesky "
            "decomposition was not successful. The input might not be valid. [Op:Cholesky] name: ",
            "Cholesky decomposition was not successful. The input might not be valid.",
            True,
        ),
        ("Got <tf.Tensor: shape=(2,), numpy=array([1., 2.])> here", "Got a tensor of shape (2,) here", False),
        ('Got Tensor("a/b:0", shape=(None, 3), dtype=float32)', "Got a tensor of shape (None, 3)", False),
        ("", "ValueError", True),
    ],
    ids=["kernel", "dimensions", "call", "several", "values", "tensor", "symbol", "nothing"],
)  # fmt: skip
def test_a_sentence(text, sentence, of_values):
    error = ValueError(text)
    assert (causes.sentence(error), causes.of_values(error)) == (sentence, of_values)


def test_a_sentence_has_a_length():
    assert len(causes.sentence(ValueError("word " * 1000))) == causes.LONGEST
