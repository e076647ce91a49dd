"""Write wine.keras: a small network for the thirteen numbers of a wine, compiled and untrained.

Its first layer knows mean and variance of each column: adapting it is Keras' own work, done here.
"""

import sys

import keras
from data import CULTIVARS, table


def build() -> keras.Model:
    keras.utils.set_random_seed(0)
    numbers = table().drop(columns="cultivar").to_numpy("float32")
    scaled = keras.layers.Normalization()
    scaled.adapt(numbers)
    layers = [
        keras.Input((numbers.shape[1],)),
        scaled,
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dense(len(CULTIVARS), activation="softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)  # Keras warns when it loads a file without the slots
    return model


if __name__ == "__main__":
    build().save(sys.argv[1] if len(sys.argv) > 1 else "wine.keras")
