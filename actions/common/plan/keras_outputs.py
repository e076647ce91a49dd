"""The outputs of a model, as its configuration tells them: names, losses, which labels fit; used by the planner."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from common.errors import ModelError
from common.plan import compiled
from common.plan.compiled import Loss, Names
from common.plan.keras_config import Config, mapping, parts
from common.plan.keras_inputs import Shape, ends, fits, layers, shape_of
from common.plan.keras_names import is_sparse

# losses that compare each output with a label of its own; the first ones never repeat one for several
CROSSENTROPIES = ("binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy")
ERRORS = (
    *("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error"),
    *("huber", "log_cosh", "poisson", "kl_divergence", "hinge", "squared_hinge", "cosine_similarity"),
)


@dataclass(frozen=True)
class ModelOutput:
    """One output: its name, units of its Dense (None where another layer gives it), loss (None: it has no labels).

    `label_shape`: what the Dense gives without batch and units: `()` for one label an example, `(steps,)` for one a
    step.
    """

    name: str
    classes: int | None
    loss: str | None
    label_shape: Shape | None = None

    def for_labels(self, shape: tuple[int, ...]) -> "ModelOutput":
        """Return the output with the loss that `crossentropy` stands for, by the shape of labels without the batch."""
        if self.loss != compiled.CROSSENTROPY or self.classes is None or self.label_shape is None:
            return self
        sparse = len(shape) <= len(self.label_shape) or shape[-1] == 1
        kind = "binary" if self.classes == 1 else "sparse_categorical" if sparse else "categorical"
        return replace(self, loss=f"{kind}_crossentropy")

    @property
    def sparse(self) -> bool:
        """Whether labels are class numbers."""
        return is_sparse(self.loss)

    def check(self, shape: tuple[int, ...], called: str) -> None:
        """Refuse labels of a shape, without the batch, that the loss cannot take; Keras drops a last axis of 1."""
        expected = self.label_shape
        if expected is None:
            return
        loss = f"model: {called}loss {self.loss}, expected"
        if self.sparse and not (fits(shape, expected) or fits(shape, (*expected, 1))):
            raise ModelError(f"{loss} class numbers of shape {expected}, got shape {shape}")
        wanted = (*expected, self.classes)
        repeated = self.loss in ERRORS
        if (repeated or self.loss in CROSSENTROPIES) and self.classes and not comparable(shape, wanted, repeated):
            raise ModelError(f"{loss} labels of shape {wanted}, got {shape}")


def comparable(shape: tuple[int, ...], wanted: Shape, repeated: bool) -> bool:
    """Return whether Keras compares labels with outputs of a shape: a last axis of 1 comes and goes, 1 is `repeated`.

    Origin: keras.losses.loss.squeeze_or_expand_to_same_rank.
    """
    if len(shape) == len(wanted) + 1 and shape[-1] == 1:
        shape = shape[:-1]
    if len(wanted) == len(shape) + 1 and wanted[-1] == 1:
        shape = (*shape, 1)
    pairs = list(zip(shape, wanted, strict=False))
    return len(shape) == len(wanted) and all(w in (None, s) or (repeated and 1 in (s, w)) for s, w in pairs)


def names(config: Config) -> Names:
    """Return what a Functional model's outputs are called: each by a name of its own, a layer's second by a number."""
    by_name = isinstance(config["config"].get("output_layers"), dict)
    met: Counter[str] = Counter()
    found = []
    for name, _ in ends(config, "output_layers"):
        found.append(f"{name}_{met[name]}" if met[name] else name)
        met[name] += 1
    return Names(tuple(found), by_name)


def outputs(config: Config, losses: Mapping[str, Loss | None]) -> tuple[ModelOutput, ...]:
    """Return the model's outputs, with these losses in their order."""
    lasts: list[str | None] = [layer for _, layer in ends(config, "output_layers")] or [None]
    pairs = zip(losses.items(), lasts, strict=True)
    return tuple(described(name, loss, config, last) for (name, loss), last in pairs)


def described(name: str, loss: Loss | None, config: Config, last: str | None) -> ModelOutput:
    """Return an output that a layer of this name gives, the model's last one where it has none."""
    dense = last_dense(config, last)
    units = mapping(dense.get("config")).get("units")
    classes = units if isinstance(units, int) and not (loss and loss.any_class) else None
    shape = None if any(map(miscounts, parts(config))) else label_shape(dense)
    return ModelOutput(name, classes, loss.name if loss else None, shape)


def miscounts(layer: Config) -> bool:
    """Return whether Keras writes shapes with an axis too many behind a layer: text of one axis, counted by words."""
    return layer.get("class_name") == "TextVectorization" and mapping(layer.get("config")).get("output_mode") != "int"


def last_dense(config: Config, wanted: str | None) -> Config:
    """Return the Dense layer that gives the output, nothing where another kind of layer does."""
    given = [layer for layer in layers(config) if wanted is None or str(layer["config"].get("name")) == wanted]
    shaped = [layer for layer in given if layer.get("class_name") not in ("Activation", "Softmax", "Dropout")]
    return shaped[-1] if shaped and shaped[-1].get("class_name") == "Dense" else {}


def label_shape(dense: Config) -> Shape | None:
    """Return what a Dense layer gives without batch and units, None where the file does not say."""
    built = shape_of(mapping(dense.get("build_config")).get("input_shape"), batched=True)
    return built[:-1] if built else None
