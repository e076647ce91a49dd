"""Seeded faults in a small job, one a run: does it end, with the same weights, and after how much longer?"""
