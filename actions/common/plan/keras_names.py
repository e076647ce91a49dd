"""The losses and metrics of Keras, by every name that a `.keras` file may call them; a test compares with Keras itself.

A row is one loss or metric; its first name is what openwhisk-dl calls it.
"""

LOSSES = (
    ("binary_crossentropy", "BinaryCrossentropy", "bce", "BCE"),
    ("binary_focal_crossentropy", "BinaryFocalCrossentropy"),
    ("categorical_crossentropy", "CategoricalCrossentropy"),
    ("categorical_focal_crossentropy", "CategoricalFocalCrossentropy"),
    ("CategoricalGeneralizedCrossEntropy",),  # its function cannot be compiled alone
    ("categorical_hinge", "CategoricalHinge"),
    ("circle", "Circle"),
    ("cosine_similarity", "CosineSimilarity"),
    ("ctc", "CTC"),
    ("dice", "Dice"),
    ("hinge", "Hinge"),
    ("huber", "Huber"),
    ("kl_divergence", "KLDivergence", "kld", "KLD"),
    ("log_cosh", "LogCosh"),
    ("mean_absolute_error", "MeanAbsoluteError", "mae", "MAE"),
    ("mean_absolute_percentage_error", "MeanAbsolutePercentageError", "mape", "MAPE"),
    ("mean_squared_error", "MeanSquaredError", "mse", "MSE"),
    ("mean_squared_logarithmic_error", "MeanSquaredLogarithmicError", "msle", "MSLE"),
    ("poisson", "Poisson"),
    ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"),
    ("squared_hinge", "SquaredHinge"),
    ("tversky", "Tversky"),
)
# Metrics that are means over examples: those of parts of a set give that of the whole. So is each loss as a metric.
MEANS = (
    ("accuracy", "Accuracy"),
    ("binary_accuracy", "BinaryAccuracy"),
    ("binary_crossentropy", "BinaryCrossentropy", "bce", "BCE"),
    ("categorical_accuracy", "CategoricalAccuracy"),
    ("categorical_crossentropy", "CategoricalCrossentropy"),
    ("categorical_hinge", "CategoricalHinge"),
    ("concordance_correlation", "ConcordanceCorrelation"),
    ("cosine_similarity", "CosineSimilarity"),
    ("hinge", "Hinge"),
    ("kl_divergence", "KLDivergence"),
    ("log_cosh_error", "LogCoshError"),
    ("mean_absolute_error", "MeanAbsoluteError", "mae", "MAE"),
    ("mean_absolute_percentage_error", "MeanAbsolutePercentageError", "mape", "MAPE"),
    ("mean_metric_wrapper", "MeanMetricWrapper"),
    ("mean_squared_error", "MeanSquaredError", "mse", "MSE"),
    ("mean_squared_logarithmic_error", "MeanSquaredLogarithmicError", "msle", "MSLE"),
    ("pearson_correlation", "PearsonCorrelation"),
    ("poisson", "Poisson"),
    ("sparse_categorical_accuracy", "SparseCategoricalAccuracy"),
    ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"),
    ("sparse_top_k_categorical_accuracy", "SparseTopKCategoricalAccuracy"),
    ("squared_hinge", "SquaredHinge"),
    ("top_k_categorical_accuracy", "TopKCategoricalAccuracy"),
)
OTHERS = (
    ("auc", "AUC"),
    ("binary_io_u", "BinaryIoU"),
    ("f1_score", "F1Score"),
    ("f_beta_score", "FBetaScore"),
    ("false_negatives", "FalseNegatives"),
    ("false_positives", "FalsePositives"),
    ("io_u", "IoU"),
    ("mean_io_u", "MeanIoU"),
    ("one_hot_io_u", "OneHotIoU"),
    ("one_hot_mean_io_u", "OneHotMeanIoU"),
    ("precision", "Precision"),
    ("precision_at_recall", "PrecisionAtRecall"),
    ("r2_score", "R2Score"),
    ("recall", "Recall"),
    ("recall_at_precision", "RecallAtPrecision"),
    ("root_mean_squared_error", "RootMeanSquaredError"),
    ("sensitivity_at_specificity", "SensitivityAtSpecificity"),
    ("specificity_at_sensitivity", "SpecificityAtSensitivity"),
    ("true_negatives", "TrueNegatives"),
    ("true_positives", "TruePositives"),
)


RISING = ("accuracy", "correlation", "cosine_similarity")  # ends of the names of metrics that are better by their max


def direction(name: str) -> str | None:
    """Return whether a metric of this name is better by its `max` or `min`; None where the name does not tell.

    Origin: `_direction` of Keras' metrics. An output's name may stand before it.
    """
    low = name.lower()
    if is_accuracy(low) or low.endswith(RISING):
        return "max"
    known = {alias.lower() for row in (*LOSSES, *MEANS) for alias in row} | {"loss"}
    return "min" if any(low == one or low.endswith(f"_{one}") for one in known) else None


def is_sparse(loss: str | None) -> bool:
    """Return whether the labels of a loss, None where there is none, are class numbers."""
    return (loss or "").startswith("sparse_categorical")


def is_accuracy(name: str) -> bool:
    """Return whether a metric of this name is told as the accuracy."""
    return name.lower() == "acc" or name.lower().endswith("accuracy")
