"""The split: the dataset as shards and held-out sets in the store."""
