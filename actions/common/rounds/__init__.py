"""The rounds: waves and their ledger, slices, pacing, inspection and averages."""
