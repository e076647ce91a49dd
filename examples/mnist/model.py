"""Write cnn.keras: a small convolutional network for 28x28 grey images of the ten digits, compiled and untrained."""

import sys

import keras


def build() -> keras.Model:
    keras.utils.set_random_seed(0)  # the file holds the first weights: the same ones each time
    layers = [
        keras.Input((28, 28), dtype="uint8"),
        keras.layers.Rescaling(1 / 255),  # here, so that the data stay bytes all the way
        keras.layers.Reshape((28, 28, 1)),
        keras.layers.Conv2D(32, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)  # Keras warns when it loads a file without the slots
    return model


if __name__ == "__main__":
    build().save(sys.argv[1] if len(sys.argv) > 1 else "cnn.keras")
