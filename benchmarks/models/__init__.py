"""Small models of every common kind, each held to plain Keras: does the planner take it, does a lane train it right?"""

import os

import images

# TensorFlow computes as in a container; this comes before its first import
ENVIRONMENT = images.environments()["dl-tensorflow"]
os.environ.update({name: value for name, value in ENVIRONMENT.items() if name.startswith(("TF_", "OMP_", "KERAS_"))})
