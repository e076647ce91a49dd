"""What Keras and TensorFlow say of a failure, as one sentence; used by model and loading.

Their texts tell calls, nodes of a graph and tensors, over many lines; the cause is one of them.
"""

import re

from common.errors import ModelError

LONGEST = 400  # characters
# how the lines of a text begin that tell of calls and not of causes
CALLS = (
    "Exception encountered when calling",
    "Graph execution error",
    "Detected at node",
    "File ",
    "<stack traces unavailable>",
    "Stack trace for op",
    "Original stack trace for",
    "Arguments received by",
)
NOISE = (
    (r"\x1b\[[0-9;]*m", ""),  # colours
    (r" for '\{\{node .*?\}\} = .*?\)'(?= with|$)", ""),
    (r"\{\{(function_)?node [^}]*\}\}", ""),
    (r"\[\[.*?\]\]", ""),
    (r"\[Op:[^\]]*\]( name: \S*)?", ""),
    (r"\(\d+\) [A-Z_]+: ", ""),  # of several root errors
    (r"\d+ root error\(s\) found\.", ""),
    (r"<\S*Tensor\b.*?shape=(\([^)]*\)).*?>(?!=)", r"a tensor of shape \1"),
    (r"\S*Tensor\(.*?shape=(\([^)]*\)).*?\)", r"a tensor of shape \1"),
    (r"Call arguments received by .*", ""),
)
# words of an error that comes of shapes, types and kernels, and so of any batch; others may come of its values
SHAPES = re.compile(r"shape|size|dim|rank|broadcast|format|incompatible|inner|must be|support|kernel|dtype|type", re.I)


class ValuesError(ModelError):
    """A batch that a model cannot take, maybe for its values: another one may do."""


def sentence(error: Exception) -> str:
    """Return what an error says first of its cause: no colours, nodes, tensors or calls."""
    text = str(error)
    for pattern, instead in NOISE:
        text = re.sub(pattern, instead, text)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    found = next((line for line in lines if line and not line.startswith(CALLS)), type(error).__name__)
    return found if len(found) <= LONGEST else found[: LONGEST - 3] + "..."


def of_values(error: Exception) -> bool:
    """Return whether an error may come of a batch's values, not of its shape and type."""
    return not SHAPES.search(sentence(error))
