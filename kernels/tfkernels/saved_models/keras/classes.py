"""Keras's own layer classes: which they are, and which weights each has, in its own order.

Archives of Keras (``.keras``, ``.weights.h5``) hold the weights of a layer by number only.
"""

import re
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

Config = Mapping[str, Any]

NO_LAYERS = {
    "InputLayer",
    "NotEqual",
    "TensorFlowOpLayer",
    "TFOpLambda",
    "SlicingOpLambda",
    "ClassMethod",
    "InstanceProperty",
}
"""What one release makes a layer of and another does not: inputs, and operations such as ``x + y``."""

_WITHOUT_WEIGHTS = """
Activation ActivityRegularization Add AlphaDropout Average AveragePooling1D
AveragePooling2D AveragePooling3D CategoryEncoding CenterCrop Concatenate Cropping1D Cropping2D Cropping3D
Discretization Dot Dropout ELU Flatten GaussianDropout GaussianNoise GetItem GlobalAveragePooling1D
GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D HashedCrossing
Hashing Identity InputLayer IntegerLookup Lambda LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum
Minimum Multiply NotEqual Permute RandomBrightness RandomContrast RandomCrop RandomFlip RandomHeight RandomRotation
RandomTranslation RandomWidth RandomZoom ReLU RepeatVector Rescaling Reshape Resizing SlicingOpLambda Softmax
SpatialDropout1D SpatialDropout2D SpatialDropout3D StringLookup Subtract TFOpLambda TensorFlowOpLayer
TextVectorization ThresholdedReLU UnitNormalization UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D
ZeroPadding3D
"""

_AROUND_LAYERS = """
Bidirectional Functional Model MultiHeadAttention GroupQueryAttention RNN Sequential SpectralNormalization
StackedRNNCells TimeDistributed Wrapper
"""
"""Classes whose weights are those of the layers inside."""


def _of(*parts: Any) -> Callable[[Config], Tuple[str, ...]]:
    """Names that are always there, and ``(setting, name)`` for those that a setting decides about."""

    def names(config: Config) -> Tuple[str, ...]:
        return tuple(
            part if isinstance(part, str) else part[1]
            for part in parts
            if isinstance(part, str) or config.get(part[0], True) not in (False, None)
        )

    return names


_BIAS = ("use_bias", "bias")
_DENSE = _of("kernel", _BIAS)
_RECURRENT = _of("kernel", "recurrent_kernel", _BIAS)
_SEPARABLE = _of("depthwise_kernel", "pointwise_kernel", _BIAS)
_NORMALISED = _of(("scale", "gamma"), ("center", "beta"))

_WEIGHTS: Dict[str, Callable[[Config], Tuple[str, ...]]] = {
    "AdditiveAttention": _of(("use_scale", "scale")),
    "Attention": lambda config: tuple(
        name
        for name, there in (
            ("scale", config.get("use_scale")),
            ("concat_score_weight", config.get("score_mode") == "concat"),
        )
        if there
    ),
    "BatchNormalization": _of(("scale", "gamma"), ("center", "beta"), "moving_mean", "moving_variance"),
    "Embedding": _of("embeddings"),
    "GroupNormalization": _NORMALISED,
    "LayerNormalization": _NORMALISED,
    "Normalization": _of("mean", "variance", "count"),
    "PReLU": _of("alpha"),
    "RMSNormalization": _of("scale"),
    "EinsumDense": lambda config: ("kernel", "bias") if config.get("bias_axes") else ("kernel",),
    "CuDNNLSTM": _of("kernel", "recurrent_kernel", "bias"),
    "CuDNNGRU": _of("kernel", "recurrent_kernel", "bias"),
}
_WEIGHTS.update(dict.fromkeys(("SyncBatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2"),
                              _WEIGHTS["BatchNormalization"]))  # fmt: skip
_WEIGHTS["LayerNormalizationV1"] = _NORMALISED
_WEIGHTS.update(dict.fromkeys(("SeparableConv1D", "SeparableConv2D", "SeparableConvolution2D"), _SEPARABLE))
_WITH_BIAS = """
Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose Convolution1D Convolution2D Convolution3D
Convolution2DTranspose Deconvolution2D Dense DepthwiseConv1D DepthwiseConv2D LocallyConnected1D LocallyConnected2D
"""
_RECURRENT_CLASSES = """
LSTM GRU SimpleRNN LSTMCell GRUCell SimpleRNNCell ConvLSTM1D ConvLSTM2D ConvLSTM3D ConvLSTM2DCell
"""
_WEIGHTS.update(dict.fromkeys(_WITH_BIAS.split(), _DENSE))
_WEIGHTS.update(dict.fromkeys(_RECURRENT_CLASSES.split(), _RECURRENT))

KERAS_CLASSES = {*_WITHOUT_WEIGHTS.split(), *_AROUND_LAYERS.split(), *_WEIGHTS}
"""The names of all layer classes that Keras has or had."""

_WORDS = (r"(.)([A-Z][a-z]+)", r"(.)([A-Z][a-z0-9]+)")  # where a word begins to Keras 3 and to Keras 2


def own_weights(class_name: str, config: Config) -> Optional[Tuple[str, ...]]:
    """The names of a layer's own weights in its own order; ``None`` if its class is not Keras's."""
    if class_name in _WEIGHTS:
        return _WEIGHTS[class_name](config)
    return () if class_name in KERAS_CLASSES else None


def plain_class(layer: Config) -> str:
    """The class of a layer without its package: ``Scale`` of ``mine>Scale``."""
    return str(layer.get("class_name") or "").rpartition(">")[2].rpartition(".")[2]


def snake_cases(class_name: str) -> Tuple[str, ...]:
    """The automatic name of a layer of this class, as Keras 3 and as Keras 2 make it."""
    spelt = [
        re.sub("([a-z])([A-Z])", r"\1_\2", re.sub(word, r"\1_\2", class_name.replace("_", ""))).lower()
        for word in _WORDS
    ]
    return tuple(dict.fromkeys(spelt))


_BY_STEM = {stem: name for name in sorted(KERAS_CLASSES) for stem in snake_cases(name)}
_BY_STEM.update({"model": "Model", "functional": "Functional"})


def class_of_name(name: str) -> str:
    """The class that an automatic name is for, ``Dense`` of ``dense_7``; empty for other names."""
    return _BY_STEM.get(re.sub(r"_\d+$", "", name), "")
