"""Write wine.csv: scikit-learn's bundled table of 178 wines, thirteen numbers and the cultivar of each by its name."""

import sys

import pandas
from sklearn.datasets import load_wine

CULTIVARS = ["Barolo", "Grignolino", "Barbera"]  # in the order of the table's numbers


def table() -> pandas.DataFrame:
    held = load_wine(as_frame=True).frame
    return held.assign(target=[CULTIVARS[number] for number in held["target"]]).rename(columns={"target": "cultivar"})


if __name__ == "__main__":
    table().to_csv(sys.argv[1] if len(sys.argv) > 1 else "wine.csv", index=False)
