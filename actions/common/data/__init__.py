"""The dataset: readers of its files, and which shard each example belongs to."""
