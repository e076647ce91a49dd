"""The trainer: a Keras model that trains a lane and evaluates; the only part that imports TensorFlow."""
