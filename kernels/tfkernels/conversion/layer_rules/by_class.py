"""Rules for single classes of layers: one function each, by the class's name. New names are in ``_RENAMED``."""

from typing import Any, Callable, Dict, List, NamedTuple, Tuple

from tfkernels.conversion.layer_rules.changed_settings import aligns_corners
from tfkernels.conversion.layer_rules.keras_release import KerasRelease
from tfkernels.conversion.layer_rules.report import LayerReport


class Around(NamedTuple):
    """What has to be done around a layer: operations on its inputs and outputs, further arguments of its calls."""

    time_first: bool = False
    """Inputs and outputs have the time as first axis, and the layer wants the batch there."""
    arguments: Tuple[Tuple[str, Any], ...] = ()
    states_as_list: bool = False
    """Its first argument can be a list of the input and the initial states."""

    @property
    def needed(self) -> bool:
        return self.time_first or bool(self.arguments)

    @property
    def why(self) -> str:
        return "time_major=True" if self.time_first else f"{self.arguments[0][0]}={self.arguments[0][1]}"


class Case(NamedTuple):
    """What a rule sees of a layer: its configuration, which it changes, both releases, and where it reports."""

    config: Dict[str, Any]
    source: KerasRelease
    target: Any
    about: LayerReport


_RENAMED = {
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "UnifiedLSTM": "LSTM",
    "UnifiedGRU": "GRU",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "LayerNormalizationV1": "LayerNormalization",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "AtrousConvolution2D": "Conv2D",
    "MaxPool1D": "MaxPooling1D",
    "MaxPool2D": "MaxPooling2D",
    "MaxPool3D": "MaxPooling3D",
    "AvgPool1D": "AveragePooling1D",
    "AvgPool2D": "AveragePooling2D",
    "AvgPool3D": "AveragePooling3D",
    "SimpleRNNCellV1": "SimpleRNNCell",
    "RandomHeightV2": "RandomHeight",
}
"""Classes that compute the same under another name. CuDNN's layers hold their weights in another order."""


def class_in_all_releases(name: str) -> str:
    """The name of the class that computes the same as this one of one release: ``LSTM`` of ``CuDNNLSTM``."""
    return _RENAMED.get(name, name)


def without_cudnn(name: str, config: Dict[str, Any]) -> str:
    """The class that computes the same as a CuDNN layer and also without a GPU; ``config`` gets what that layer has."""
    config.setdefault("recurrent_activation", "sigmoid")
    config.setdefault("activation", "tanh")
    config.setdefault("use_bias", True)
    if name == "CuDNNGRU":
        config["reset_after"] = True
    return _RENAMED[name]


def renamed(name: str, config: Dict[str, Any], target: Any, about: LayerReport) -> str:
    """The target's class for the one that the writer had."""
    if name == "ThresholdedReLU" and target.settings(name) is None:
        config["threshold"] = config.pop("theta", 1.0)
        about.changed("ReLU(threshold=theta)", "both give x above the threshold, and 0 elsewhere")
        return "ReLU"
    new = _RENAMED.get(name)
    if new is None or target.settings(name) is not None:
        return name
    if name.startswith("CuDNN"):
        new = without_cudnn(name, config)
        about.changed(f"{new} in place of {name}", "the same equations, with the layout of weights changed")
    return new


def rewrite(name: str, case: Case) -> Around:
    rule = _RULES.get(name)
    return rule(case) if rule else Around()


def _recurrent(case: Case) -> Around:
    around = Around(states_as_list=case.target.release.is_keras_3)
    if case.config.get("time_major") and case.target.release.is_keras_3:
        case.config.pop("time_major")
        case.about.changed(
            "time_major=True became a transposition before and after", "it only swaps the first two axes"
        )
        around = around._replace(time_first=True)
    return around


def _batch_normalization(case: Case) -> Around:
    axis = case.config.get("axis")
    if isinstance(axis, (list, tuple)):
        if len(axis) == 1:
            case.config["axis"] = axis[0]
        elif case.target.release.is_keras_3:
            case.about.refuse(f"it normalises several axes ({list(axis)}), and {case.target.release} takes one")
    if case.config.get("renorm") is False:
        for setting in ("renorm", "renorm_clipping", "renorm_momentum"):
            case.config.pop(setting, None)
    return Around()


def _up_sampling(case: Case) -> Around:
    aligned = aligns_corners(case.source) and not aligns_corners(case.target.release)
    if case.config.get("interpolation") == "bilinear" and aligned:
        case.about.refuse(
            "its interpolation='bilinear' was computed by another rule up to TensorFlow 1.13, and in the package keras "
            "up to 2.3. Write it as a custom layer with tf.compat.v1.image.resize_bilinear"
        )
    return Around()


def _separable(case: Case) -> Around:
    for setting in _OF_A_CONVOLUTION:
        case.config.pop(setting, None)
    return Around()


def _depthwise(case: Case) -> Around:
    for setting in ("filters", *_OF_A_CONVOLUTION):
        case.config.pop(setting, None)
    return Around()


_OF_A_CONVOLUTION = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
"""What separable convolutions write before Keras 3, like an ordinary one, and do not use."""


def unused_settings(name: str) -> Tuple[str, ...]:
    """The settings that this class writes in some releases and does not use in any."""
    return _OF_A_CONVOLUTION if _RULES.get(name) in (_separable, _depthwise) else ()


def _leaky_relu(case: Case) -> Around:
    accepted = case.target.settings("LeakyReLU")
    for old, new in (("alpha", "negative_slope"), ("negative_slope", "alpha")):
        if old in case.config and old not in accepted and new in accepted:
            case.config[new] = case.config.pop(old)
            case.about.changed(f"{new}={case.config[new]!r} in place of {old}", "renamed")
    return Around()


def _attention(case: Case) -> Around:
    if case.config.get("causal") and case.target.release.keras >= (2, 10):
        case.config.pop("causal")
        case.about.changed("use_causal_mask=True in its calls", "the setting became an argument of the call")
        return Around(arguments=(("use_causal_mask", True),))
    return Around()


def _category_encoding(case: Case) -> Around:
    if case.config.get("output_mode") == "binary":
        case.config["output_mode"] = "multi_hot"
        case.about.changed("output_mode='multi_hot'", "the new name of binary")
    if "max_tokens" in case.config and "num_tokens" in case.target.settings("CategoryEncoding"):
        case.config["num_tokens"] = case.config.pop("max_tokens")
    return Around()


def _lambda(case: Case) -> Around:
    shape = case.config.get("output_shape")
    kind = case.config.get("output_shape_type")
    if shape is not None and kind not in (None, "raw"):  # code, or the name of a function: the case.target infers it
        case.config["output_shape"] = None
    for setting in ("output_shape_type", "output_shape_module", "function_type", "module"):
        case.config.pop(setting, None)
    if not isinstance(case.config.get("mask"), (type(None), str)):
        case.about.refuse("its mask is code, which is not carried over. Write it as a custom layer")
    return Around()


def _bidirectional(case: Case) -> Around:
    return Around(states_as_list=case.target.release.is_keras_3)


_Rule = Callable[[Case], Around]
_RULES: Dict[str, _Rule] = {
    "Attention": _attention,
    "AdditiveAttention": _attention,
    "BatchNormalization": _batch_normalization,
    "Bidirectional": _bidirectional,
    "CategoryEncoding": _category_encoding,
    "DepthwiseConv1D": _depthwise,
    "DepthwiseConv2D": _depthwise,
    "Lambda": _lambda,
    "LeakyReLU": _leaky_relu,
    "SeparableConv1D": _separable,
    "SeparableConv2D": _separable,
    "UpSampling2D": _up_sampling,
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), _recurrent),
}


def rules() -> List[str]:
    """The classes with a rule or another name, for the docs."""
    return sorted({*_RULES, *_RENAMED})
