"""The plan of a run: parameters, schedule, and what the file of a Keras model tells."""
