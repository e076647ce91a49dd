"""A layer, a loss and a metric of an operator's own, as a plugin has them."""

import keras

OWN = keras.saving.register_keras_serializable("own")


@OWN
class Scaled(keras.layers.Layer):
    """Multiplies by one weight a feature, which is trained."""

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones", name="scale")

    def call(self, inputs):
        return inputs * self.scale


@OWN
class Quartic(keras.losses.Loss):
    """The mean fourth power of the error."""

    def call(self, expected, found):
        return keras.ops.mean((expected - found) ** 4, axis=-1)


@OWN
class Worst(keras.metrics.Metric):
    """The largest error, which is no mean."""

    def __init__(self, name="worst", **settings):
        super().__init__(name=name, **settings)
        self.most = self.add_variable((), "zeros", name="most")

    def update_state(self, expected, found, sample_weight=None):
        error = keras.ops.max(keras.ops.abs(keras.ops.cast(expected, "float32") - found))
        self.most.assign(keras.ops.maximum(self.most, error))

    def result(self):
        return self.most


@OWN
def halved(x):
    """Return an activation."""
    return x / 2
