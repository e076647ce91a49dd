"""Models of sequences: recurrent, convolutional, by attention."""

from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks.models.row import Row, classes, classifier, compiled, normal, sequential
from common.training.model import Data

STEPS, FEATURES = 10, 4
SHAPE = (STEPS, FEATURES)


def series() -> Data:
    """Return series of four classes."""
    return normal(*SHAPE), classes()


def padded() -> Data:
    """Return series of several lengths, with zeros behind them."""
    x, y = series()
    lengths = 3 + np.arange(len(x)) % (STEPS - 2)
    return x * (np.arange(STEPS) < lengths[:, None])[..., None].astype(np.float32), y


def forecasts() -> Data:
    """Return series with the three steps that follow."""
    return normal(*SHAPE), normal(3, FEATURES, seed=2)


def told(*body: Any, optimizer: Any = "adam") -> Any:
    """Return a classifier of series."""
    return classifier(sequential(SHAPE, *body, layers.Dense(4)), optimizer)


def lstm() -> Any:
    """One LSTM."""
    return told(layers.LSTM(12))


def gru() -> Any:
    """One GRU."""
    return told(layers.GRU(12), optimizer=keras.optimizers.RMSprop(1e-3, centered=True))


def bidirectional() -> Any:
    """An LSTM from both ends."""
    return told(layers.Bidirectional(layers.LSTM(8)), optimizer="nadam")


def masked() -> Any:
    """Recurrent layers that pass over padding."""
    hidden = [layers.LSTM(8, return_sequences=True), layers.SimpleRNN(8, return_sequences=True), layers.GRU(8)]
    return told(layers.Masking(), *hidden)


def dropout() -> Any:
    """An LSTM that drops inputs and states."""
    return told(layers.LSTM(8, dropout=0.2, recurrent_dropout=0.2), layers.Dropout(0.3))


def conv1d() -> Any:
    """Convolutions along the time."""
    return told(layers.Conv1D(12, 3, activation="relu"), layers.MaxPooling1D(), layers.Flatten())


def wavenet() -> Any:
    """Dilated causal convolutions with gates; a forecast a step."""
    taken = keras.Input(SHAPE)
    hidden = layers.Conv1D(8, 1)(taken)
    for dilation in (1, 2, 4):
        given: dict[str, Any] = {"padding": "causal", "dilation_rate": dilation}
        gate = layers.Conv1D(8, 2, activation="sigmoid", **given)(hidden)
        value = layers.Conv1D(8, 2, activation="tanh", **given)(hidden)
        hidden = layers.Add()([hidden, layers.Conv1D(8, 1)(layers.Multiply()([value, gate]))])
    return compiled(keras.Model(taken, layers.Conv1D(FEATURES, 1)(hidden)), "adam", "log_cosh", ["mae"])


def conv_lstm() -> Any:
    """Convolutions within a recurrent layer, over frames."""
    body = [layers.ConvLSTM2D(4, 3), layers.BatchNormalization(), layers.Flatten(), layers.Dense(4)]
    return classifier(sequential((4, 6, 6, 1), *body), "adam")


def attended(taken: Any, dropout: float = 0.0, causal: bool = False) -> Any:
    """Return a block of attention, `causal` to steps before it alone, and two dense layers, normalized after each."""
    mixed = layers.MultiHeadAttention(2, 4, dropout=dropout)(taken, taken, use_causal_mask=causal)
    hidden = layers.LayerNormalization()(layers.Add()([taken, mixed]))
    wide = layers.Dense(8)(layers.Dense(16, "relu")(hidden))
    return layers.LayerNormalization()(layers.Add()([hidden, wide]))


def transformer() -> Any:
    """Two blocks of an encoder, with dropout in the attention."""
    taken = keras.Input(SHAPE)
    hidden = layers.Dense(8)(taken)
    for _ in range(2):
        hidden = attended(hidden, dropout=0.1)
    model = keras.Model(taken, layers.Dense(4)(layers.GlobalAveragePooling1D()(hidden)))
    return classifier(model, keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 40, warmup_steps=3)))


def grouped_attention() -> Any:
    """Queries that share keys and values."""
    taken = keras.Input(SHAPE)
    hidden = layers.Dense(8)(taken)
    hidden = layers.Add()([hidden, layers.GroupQueryAttention(4, 4, 2)(hidden, hidden)])
    model = keras.Model(taken, layers.Dense(4)(layers.GlobalMaxPooling1D()(layers.RMSNormalization()(hidden))))
    return classifier(model, "lion")


def attention_pooling() -> Any:
    """A GRU from both ends, its steps weighed by a softmax over them."""
    taken = keras.Input(SHAPE)
    steps = layers.Bidirectional(layers.GRU(6, return_sequences=True))(taken)
    share = layers.Softmax(axis=1)(layers.Dense(1)(layers.Dense(6, "tanh")(steps)))
    return classifier(keras.Model(taken, layers.Dense(4)(layers.Flatten()(layers.Dot(1)([steps, share])))), "adam")


def encoder_decoder() -> Any:
    """A state out of the past, unrolled into the future."""
    body = [layers.LSTM(10), layers.RepeatVector(3), layers.LSTM(10, return_sequences=True)]
    body += [layers.TimeDistributed(layers.Dense(FEATURES))]
    return compiled(sequential(SHAPE, *body), "adam", "mse", ["mae"])


def cross_attention() -> Any:
    """A decoder that is given the past and what is known of the future."""
    past, future = keras.Input(SHAPE, name="past"), keras.Input((3, 2), name="future")
    states, last, cell = layers.LSTM(8, return_sequences=True, return_state=True)(past)
    steps = layers.LSTM(8, return_sequences=True)(future, initial_state=[last, cell])
    found = layers.Concatenate()([steps, layers.Attention()([steps, states])])
    return compiled(keras.Model([past, future], layers.Dense(FEATURES)(found)), "adam", "huber", ["mse"])


def two_ends() -> Data:
    """Return the past, what is known of the future, and the future."""
    x, y = forecasts()
    return {"past": x, "future": normal(3, 2, seed=3)}, y


def steps() -> Data:
    """Return series with a forecast a step."""
    return normal(*SHAPE), normal(*SHAPE, seed=2)


def frames() -> Data:
    """Return series of images, of four classes."""
    return normal(4, 6, 6, 1), classes()


WARNED = "a schedule goes by a lane's own steps, and the run warns of it"
ATTENTION = "MultiHeadAttention with dropout, CosineDecay with warm-up"
ROWS = (
    Row("lstm", "series", "LSTM", lstm, series),
    Row("gru", "series", "GRU", gru, series),
    Row("bidirectional", "series", "Bidirectional", bidirectional, series),
    Row("masked", "series of several lengths", "Masking, LSTM, SimpleRNN and GRU stacked", masked, padded),
    Row("recurrent-dropout", "series", "dropout, recurrent_dropout, Dropout", dropout, series, random=True),
    Row("conv1d", "series", "Conv1D, MaxPooling1D", conv1d, series),
    Row("wavenet", "series, a forecast a step", "Conv1D causal and dilated, gates", wavenet, steps),
    Row("conv-lstm", "series of images", "ConvLSTM2D, BatchNormalization", conv_lstm, frames),
    Row("transformer", "series", ATTENTION, transformer, series, WARNED, random=True),
    Row("grouped-attention", "series", "GroupQueryAttention, RMSNormalization", grouped_attention, series),
    Row("attention-pooling", "series", "Bidirectional GRU, Softmax over steps, Dot", attention_pooling, series),
    Row("encoder-decoder", "series to series", "RepeatVector, TimeDistributed", encoder_decoder, forecasts),
    Row("cross-attention", "series, two inputs", "return_state, initial_state, Attention", cross_attention, two_ends),
)
