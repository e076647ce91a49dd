"""Images with their labels as a file of rows, all of one size; used by the readers of class folders and WebDataset."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.data.images.picture import decode, shape_of
from common.data.rows import BATCH_BYTES, TEXT, Cells, Column, RowFile
from common.errors import DatasetError

LABELS = 1 << 14  # in a batch without images


@dataclass(frozen=True)
class Picture:
    """An image of an archive: its name, as a sentence has it, its label, and what reads its bytes."""

    where: str
    label: str | int
    read: Callable[[], bytes]


class Album:
    """Images of an archive; `pictures` goes through it, each time from its start; `size` is height and width to get."""

    test: RowFile | None = None

    def __init__(self, pictures: Callable[[], Iterator[Picture]], size: tuple[int, int] | None) -> None:
        self._pictures, self._size = pictures, size
        shapes: dict[tuple[int, int], str] = {}
        channels, whole, self.rows = 1, True, 0
        for picture in pictures():
            height, width, found = shape_of(picture.read(), picture.where)
            shapes.setdefault((height, width), picture.where)
            channels, whole, self.rows = max(channels, found), whole and isinstance(picture.label, int), self.rows + 1
            if size is None and len(shapes) > 1:
                refuse_sizes(shapes)
        if not self.rows:
            raise DatasetError("got no image, expected images in a folder a class, or with a .cls or .json each")
        shape = (*(size or next(iter(shapes))), channels)
        self.columns = [Column("image", "|u1", shape), Column("label", "<i8" if whole else TEXT)]

    def batches(self, names: Sequence[str]) -> Iterator[list[Cells]]:
        """Yield the cells of some columns."""
        image = self.columns[0]
        count = max(1, BATCH_BYTES // int(np.prod(image.shape))) if image.name in names else LABELS
        batch: list[Picture] = []
        images = np.empty((count, *image.shape), np.uint8) if image.name in names else None
        for picture in self._pictures():
            if images is not None:
                images[len(batch)] = decode(picture.read(), picture.where, self._fit(), image.shape[2])
            batch.append(picture)
            if len(batch) == count:
                yield self._cells(names, batch, images)
                batch = []
        if batch:
            yield self._cells(names, batch, images)

    def _fit(self) -> tuple[int, int]:
        height, width, _ = self.columns[0].shape
        return height, width

    def _cells(self, names: Sequence[str], batch: list[Picture], images: NDArray[np.uint8] | None) -> list[Cells]:
        none = np.zeros(len(batch), np.bool_)
        labels = np.empty(len(batch), np.int64 if self.columns[1].dtype != TEXT else object)
        labels[:] = [picture.label if labels.dtype != object else str(picture.label) for picture in batch]
        held = {"label": Cells(labels, none)}
        if images is not None:
            held["image"] = Cells(images[: len(batch)].copy(), none)
        return [held[name] for name in names]


def refuse_sizes(shapes: dict[tuple[int, int], str]) -> None:
    """Refuse images of several sizes."""
    (first, where), (other, odd) = list(shapes.items())[:2]
    got, had = (f"{height} x {width} pixels (height x width)" for height, width in (other, first))
    raise DatasetError(f"{odd}: got {got}, expected {had} as {where} has, or image_size for all")
