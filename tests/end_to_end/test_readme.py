"""The README's commands, as they stand there."""

import json
import os
import re
import subprocess

import numpy as np

from services import ROOT

BLOCKS = re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def block(start):
    """Return the lines of the code block that starts so."""
    return next(text for text in BLOCKS if text.startswith(start)).splitlines()


def test_the_first_command_trains_handwritten_digits():
    command = block("scripts/demo")[0]
    said = subprocess.run(command.split(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    accuracy = float(re.search(r"test accuracy\s*│\s*([\d.]+)", said.stdout)[1])
    assert accuracy >= (0.985 if os.environ.get("MNIST_NPZ") else 0.97)


def test_the_commands_of_a_user(deployed, dataset, model):
    deployed.put("data/mnist.npz", dataset)
    deployed.put("data/cnn.keras", model)
    lines = [line for line in block("scripts/deploy") if "wsk " in line]
    invoke, status, result = (line.split()[1:] for line in lines)
    started = deployed.wsk(*invoke)
    assert started.returncode == 0, started.stderr
    activation = started.stdout.split()[-1]
    assert deployed.finish(activation)["run"] == "first"
    assert json.loads(deployed.wsk(*status).stdout)["phase"] == "done"
    told = json.loads(deployed.wsk(*[word.replace("<id>", activation) for word in result]).stdout)
    assert told["accuracy"] > 0.9 and np.isfinite(told["loss"])
