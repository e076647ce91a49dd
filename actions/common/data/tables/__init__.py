"""Tables as files of rows: CSV, JSON lines, Parquet and Arrow."""
