"""Write series.parquet: windows of two days of a made-up town's demand for power, and how the next hour goes.

Each window holds 48 hours (a list), the weekday of the next hour (a number), its weather (text), and the week it is of.
"""

import sys

import numpy as np
import pandas

WEEKS, HOURS = 100, 48
WEATHER = ("clear", "rain", "snow")


def table() -> pandas.DataFrame:
    """Return a window every five hours of a hundred weeks."""
    random = np.random.default_rng(0)
    hours = np.arange(WEEKS * 7 * 24)
    weekday, weather = hours // 24 % 7, random.integers(0, len(WEATHER), len(hours) // 6).repeat(6)
    day = np.sin((hours - 9) * np.pi / 12) * np.where(weekday < 5, 1.0, 0.3)
    demand = 2 + day + 0.4 * weather + random.normal(0, 0.03, len(hours))
    ends = np.arange(HOURS, len(hours), 5)
    return pandas.DataFrame(
        {
            "demand": [demand[end - HOURS : end].astype(np.float32) for end in ends],
            "weekday": weekday[ends],
            "weather": np.array(WEATHER)[weather[ends]],
            "week": ends // (7 * 24),
            "next": np.where(demand[ends] > demand[ends - 1], "rises", "falls"),
        }
    )


if __name__ == "__main__":
    table().to_parquet(sys.argv[1] if len(sys.argv) > 1 else "series.parquet", index=False)
