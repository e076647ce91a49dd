"""One image: its bytes decoded to an array, within bounds; used by the readers of images.

Colours as keras.utils.image_dataset_from_directory has them: grey ones have one channel, all others three; alpha is
dropped, and no rotation of a camera is applied.
"""

import io
import struct
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.data.archive import cause
from common.errors import DatasetError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
PIXELS = 16 << 20  # decoded, with three channels, 48 MB
GREY = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"}  # Pillow's modes of one colour
SIXTEEN = ("I", "I;16", "I;16B", "I;16L")  # of which 8 bits are kept
BROKEN = (OSError, ValueError, SyntaxError, struct.error, EOFError, TypeError, KeyError, IndexError, OverflowError)


def shape_of(body: bytes, where: str) -> tuple[int, int, int]:
    """Return height, width and channels of an image by its head; DatasetError, naming `where`, for what is none."""
    with opened(body, where) as image:
        return image.height, image.width, 1 if image.mode in GREY else 3


def decode(
    body: bytes, where: str, size: tuple[int, int] | None = None, channels: int | None = None
) -> NDArray[np.uint8]:
    """Return an image as an array `(height, width, channels)`; DatasetError, naming `where`, for what is none.

    `size`: height and width that it is made to fit; `channels`: 3 makes a grey one coloured.
    """
    with opened(body, where) as image:
        try:
            image.load()
            fitted = converted(image, channels)
            if size and (fitted.height, fitted.width) != size:
                fitted = fitted.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        except BROKEN as error:
            what = f"an image that does not decode ({cause(error)})"
            raise DatasetError(f"{where}: got {what}, expected a whole one") from None
    array: NDArray[np.uint8] = np.asarray(fitted, np.uint8)
    return array[..., None] if array.ndim == 2 else array


def opened(body: bytes, where: str) -> Any:
    """Return an image whose head is read, within bounds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's own bound, which is wider than this one
            image = Image.open(io.BytesIO(body), formats=FORMATS)
    except (*BROKEN, Image.DecompressionBombError) as error:
        kinds = ", ".join(FORMATS[:-1])
        raise DatasetError(f"{where}: got no image ({cause(error)[:80]}), expected one of {kinds}") from None
    if image.width * image.height > PIXELS:
        raise DatasetError(f"{where}: got {image.width} x {image.height} pixels, expected at most {PIXELS} in all")
    return image


def converted(image: Any, channels: int | None) -> Any:
    """Return an image with one channel of 8 bits, or three."""
    if image.mode in SIXTEEN:
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    return image.convert("L" if image.mode in GREY and channels != 3 else "RGB")
