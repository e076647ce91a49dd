"""Text as shards hold it: UTF-8 of one width, zeros behind it, as NumPy's bytes and TensorFlow's strings are."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import DatasetError

TEXT_BYTES = 1 << 16  # of one text; all texts of a column take as much as its longest


def widest(column: str, texts: Iterable[str], first: int) -> int:
    """Return how many bytes the longest text takes, 1 at least; DatasetError for one, from row `first` on, too long."""
    most = 1
    for row, text in enumerate(texts, first):
        width = len(utf8(text))
        if width > TEXT_BYTES:
            raise DatasetError(f"column {column} holds a text of {width} bytes in row {row}, expected {TEXT_BYTES}")
        if text.endswith("\0"):
            raise DatasetError(
                f"column {column} holds a text that ends in a zero byte in row {row}, expected it without"
            )
        most = max(most, width)
    return most


def encoded(texts: NDArray[Any], dtype: str) -> NDArray[np.bytes_]:
    """Return texts of any shape as bytes of a type that is wide enough for them."""
    if texts.dtype.kind == "S":
        return texts.astype(dtype, copy=False)
    return np.array([utf8(str(text)) for text in texts.ravel()], dtype).reshape(texts.shape)


def utf8(text: str) -> bytes:
    """Return a text's UTF-8; half a surrogate pair, which JSON may hold, becomes a question mark."""
    return text.encode(errors="replace")
