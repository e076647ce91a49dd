"""Write series.keras: a small network of three inputs, each called as its column is, compiled and untrained."""

import sys

import keras
from data import HOURS, WEATHER
from keras import layers


def build() -> keras.Model:
    keras.utils.set_random_seed(0)
    demand = keras.Input((HOURS,), name="demand")
    weekday = keras.Input((1,), name="weekday")
    weather = keras.Input((1,), name="weather", dtype="string")
    hours = layers.Conv1D(8, 6, strides=2, activation="relu")(layers.Reshape((HOURS, 1))(demand))
    sky = layers.StringLookup(vocabulary=list(WEATHER), output_mode="one_hot")(weather)
    day = layers.CategoryEncoding(7, output_mode="one_hot")(weekday)
    joined = layers.Concatenate()([layers.Flatten()(hours), layers.Flatten()(day), layers.Flatten()(sky)])
    hidden = layers.Dense(32, activation="relu")(joined)
    model = keras.Model([demand, weekday, weather], layers.Dense(2, activation="softmax")(hidden))
    model.compile(keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)  # Keras warns when it loads a file without the slots
    return model


if __name__ == "__main__":
    build().save(sys.argv[1] if len(sys.argv) > 1 else "series.keras")
