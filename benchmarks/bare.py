"""Keras without a platform: the single action's function in a process of its own; started by benchmarks.measure.

python -m benchmarks.bare '{"data": "file:///...npz", "model": "file:///...keras", "epochs": 1, "batch": 64, ...}'
"""

import json
import sys

from benchmarks.single.__main__ import main

if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
