"""Models of text: strings that the model itself takes apart, and numbers of tokens."""

from typing import Any

import keras
import numpy as np
from keras import layers

from benchmarks.models.row import EXAMPLES, Row, chance, classes, classifier, compiled, sequential, whole
from benchmarks.models.sequences import attended
from common.training.model import Array, Data

WORDS = ("red", "green", "blue", "small", "large", "round", "square", "heavy", "light", "old", "new", "fast", "slow")
TOKENS, STEPS = 20, 8


def sentences() -> Array:
    """Return a text an example, as a shard holds it: UTF-8 in bytes."""
    random = chance(5)
    texts = [" ".join(random.choice([*WORDS], 2 + k % 7)) for k in range(EXAMPLES)]
    return np.array([[text.encode()] for text in texts])


def texts() -> Data:
    """Return texts of four classes."""
    return sentences(), classes()


def tokens() -> Data:
    """Return rows of tokens with zeros behind them, of four classes."""
    x = whole(TOKENS - 1, STEPS) + 1
    return (x * (np.arange(STEPS) < (3 + np.arange(EXAMPLES) % 6)[:, None])).astype(np.int32), classes()


def next_tokens() -> Data:
    """Return rows of tokens, and of each the one that follows it."""
    x = tokens()[0]
    return x, np.append(x[:, 1:], np.zeros((EXAMPLES, 1), x.dtype), axis=1)


def vectorized() -> Any:
    """An average of the words' vectors."""
    words = layers.TextVectorization(vocabulary=WORDS[:12], output_sequence_length=STEPS)
    body = [words, layers.Embedding(14, 8), layers.GlobalAveragePooling1D(), layers.Dense(4)]
    return classifier(sequential((1,), *body, dtype="string"), "adam")


def tf_idf() -> Any:
    """Words counted and weighed by how rare they are; several tags a text."""
    words = layers.TextVectorization(output_mode="tf_idf", ngrams=2, max_tokens=40, pad_to_max_tokens=True)
    words.adapt(sentences()[:, 0].tolist())
    model = sequential((), words, layers.Dense(8, "relu"), layers.Dense(5, "sigmoid"), dtype="string")
    return compiled(model, "adagrad", "binary_crossentropy", ["binary_accuracy"])


def tagged() -> Data:
    """Return texts of several tags."""
    return sentences(), whole(2, 5, seed=6, dtype="uint8")


def text_cnn() -> Any:
    """Letters, and convolutions of two widths over them."""
    taken = keras.Input((1,), dtype="string")
    letters = layers.TextVectorization(split="character", vocabulary=[*"abcdefghil mnoqrstuvwy"])
    letters = layers.Embedding(26, 6)(letters(taken))
    found = [layers.GlobalMaxPooling1D()(layers.Conv1D(8, width, padding="same")(letters)) for width in (2, 3)]
    return classifier(keras.Model(taken, layers.Dense(4)(layers.Concatenate()(found))), "adam")


def embedded() -> Any:
    """An LSTM that passes over padding."""
    body = [layers.Embedding(TOKENS, 8, mask_zero=True), layers.SpatialDropout1D(0.2), layers.LSTM(8), layers.Dense(4)]
    return classifier(sequential((STEPS,), *body, dtype="int32"), "adam")


def language_model() -> Any:
    """What follows each token, by attention to those before it."""
    taken = keras.Input((STEPS,), dtype="int32")
    hidden = attended(layers.Embedding(TOKENS, 8)(taken), causal=True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    return compiled(keras.Model(taken, layers.Dense(TOKENS)(hidden)), "adam", loss, ["accuracy"])


def tied_model() -> Any:
    """The same, its logits by the words' own vectors."""
    taken = keras.Input((STEPS,), dtype="int32")
    words = layers.ReversibleEmbedding(TOKENS, 8)
    mixed = layers.GRU(8, return_sequences=True)(words(taken))
    return classifier(keras.Model(taken, words(mixed, reverse=True)), "adam")


COUNTED = "adapt before you save; where words are counted, the input's shape is ()"
ROWS = (
    Row("text-vectors", "text", "TextVectorization with its vocabulary, Embedding", vectorized, texts),
    Row("text-tf-idf", "text, several labels", "TextVectorization adapted, tf_idf, ngrams", tf_idf, tagged, COUNTED),
    Row("text-cnn", "text", "TextVectorization by characters, Conv1D side by side", text_cnn, texts),
    Row("embedding", "tokens", "Embedding with mask_zero, SpatialDropout1D, LSTM", embedded, tokens, random=True),
    Row("language-model", "tokens, a label a step", "use_causal_mask, ignore_class", language_model, next_tokens),
    Row("tied-embedding", "tokens, a label a step", "ReversibleEmbedding called twice, GRU", tied_model, next_tokens),
)
