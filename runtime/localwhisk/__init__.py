"""localwhisk: a small Apache OpenWhisk on one machine; the demo, the tests and the benchmarks run on it."""
