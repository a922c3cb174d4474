"""The names that Keras has for functions and small objects in configurations: all others are the user's."""

import re
from typing import Dict, Set

_ACTIVATIONS = """
celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid
log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid
sparsemax squareplus swish tanh tanh_shrink threshold
"""
_INITIALIZERS = """
Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform Ones
Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT TruncatedNormal VarianceScaling Zeros constant
glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform normal one ones orthogonal
random_normal random_uniform stft truncated_normal uniform variance_scaling zero zeros
"""
_REGULARIZERS = "L1 L1L2 L2 OrthogonalRegularizer l1 l1_l2 l1l2 l2 orthogonal_regularizer"
_CONSTRAINTS = """
MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm max_norm maxnorm min_max_norm non_neg nonneg radial_constraint
unit_norm unitnorm
"""
_LOSSES = """
BinaryCrossentropy BinaryFocalCrossentropy CTC CategoricalCrossentropy CategoricalFocalCrossentropy
CategoricalGeneralizedCrossEntropy CategoricalHinge Circle CosineSimilarity Dice Hinge Huber KLDivergence LogCosh
MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson
SparseCategoricalCrossentropy SquaredHinge Tversky KLD MAE MAPE MSE MSLE bce binary_crossentropy
binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy categorical_hinge circle cosine
cosine_proximity cosine_similarity ctc dice hinge huber huber_loss kl_divergence kld kullback_leibler_divergence
log_cosh logcosh mae mape mean_absolute_error mean_absolute_percentage_error mean_squared_error
mean_squared_logarithmic_error mse msle poisson sparse_categorical_crossentropy squared_hinge tversky
categorical_generalized_cross_entropy
"""
_METRICS = """
AUC Accuracy BinaryAccuracy BinaryIoU CategoricalAccuracy ConcordanceCorrelation F1Score FBetaScore FalseNegatives
FalsePositives IoU Mean MeanIoU MeanMetricWrapper MeanRelativeError MeanTensor OneHotIoU OneHotMeanIoU
PearsonCorrelation Precision PrecisionAtRecall R2Score Recall RecallAtPrecision RootMeanSquaredError
SensitivityAtSpecificity SparseCategoricalAccuracy SparseTopKCategoricalAccuracy SpecificityAtSensitivity Sum
TopKCategoricalAccuracy TrueNegatives TruePositives acc accuracy binary_accuracy categorical_accuracy cross entropy
crossentropy ce r2_score sparse_categorical_accuracy sparse_top_k_categorical_accuracy top_k_categorical_accuracy loss
CompileMetrics
"""
_OPTIMIZERS = """
Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer LossScaleOptimizerV3 Muon Nadam RMSprop
RMSProp SGD ScheduleFreeAdamW TFOptimizer
"""
_SCHEDULES = "CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay"
_POLICIES = "DTypePolicy DTypePolicyMap FloatDTypePolicy GPTQDTypePolicy Policy PolicyV1 QuantizedDTypePolicy"

KNOWN: Dict[str, Set[str]] = {
    "activation": set(_ACTIVATIONS.split()),
    "initializer": set(_INITIALIZERS.split()),
    "regularizer": set(_REGULARIZERS.split()),
    "constraint": set(_CONSTRAINTS.split()),
    "loss": set(_LOSSES.split()),
    "metric": {*_METRICS.split(), *_LOSSES.split()},
    "optimizer": set(_OPTIMIZERS.split()),
    "schedule": set(_SCHEDULES.split()),
    "dtype policy": set(_POLICIES.split()),
}

_KINDS = (
    (r".*activation", "activation"),
    (r".*initializer", "initializer"),
    (r".*regularizer", "regularizer"),
    (r".*constraint", "constraint"),
    (r"learning_rate|lr", "schedule"),
    (r"dtype|dtype_policy", "dtype policy"),
)


def kind_of_setting(setting: str) -> str:
    """The kind of object that a setting of a layer holds; empty if any."""
    return next((kind for pattern, kind in _KINDS if re.fullmatch(pattern, setting)), "")


def is_known(kind: str, name: str) -> bool:
    """Whether Keras has it. Versions wrote some names with a capital and V1 or V2 behind."""
    return name in KNOWN[kind] or re.sub(r"V[12]$", "", name) in KNOWN[kind]
