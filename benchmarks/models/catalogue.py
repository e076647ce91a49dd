"""All rows, by name."""

from benchmarks.models import columns, scenes, sequences, structures, tables, text, training, vision

FILES = (tables, structures, columns, vision, scenes, sequences, text, training)
ROWS = tuple(row for file in FILES for row in file.ROWS)
BY_NAME = {row.name: row for row in ROWS}
