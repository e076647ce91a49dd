"""What tests of the readers of rows share: all cells of some columns, batches put together."""

import numpy as np


def cells(found, *names):
    """Return of each column its values and which are missing."""
    columns = zip(*found.batches(names), strict=True)
    return [
        (np.concatenate([one.values for one in column]), np.concatenate([one.missing for one in column]))
        for column in columns
    ]
