"""The same training by Lithops' map_reduce, on the same platform and beside ours: benchmarks.lithops.__main__."""
