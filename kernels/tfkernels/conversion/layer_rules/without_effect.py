"""Settings that do not change what a layer computes, and classes that the target lacks."""

from typing import Any, Dict, Set, Tuple

from tfkernels.conversion.layer_rules.keras_release import KerasRelease
from tfkernels.conversion.layer_rules.report import LayerReport

_ANY = {
    "implementation",  # how a recurrent layer arranges its products
    "batch_input_shape", "input_shape", "input_dim", "input_length",  # known from the model's inputs
    "input_dtype", "dynamic", "_scope", "experimental_run_tf_function",
    "fused",  # how a normalisation is computed
    "build_config", "build_input_shape", "query_shape", "key_shape", "value_shape",  # known from the calls
    "shared_object_id", "use_cudnn", "synchronized", "jit_compile",
    "quantization_config", "optional",
    "seed",  # random numbers differ from release to release
    "output_shape_type", "output_shape_module", "function_type", "module",  # how a Lambda was written
}  # fmt: skip
"""Settings without effect on the result, whatever their value is."""

_NEUTRAL: Dict[str, Tuple[Any, ...]] = {
    "groups": (1, None),
    "time_major": (False, None),
    "renorm": (False, None),
    "renorm_clipping": (None,),
    "renorm_momentum": (0.99, None),
    "virtual_batch_size": (None, 0),
    "adjustment": (None,),
    "sparse": (False, None),
    "ragged": (False, None),
    "num_constants": (None, 0),
    "constants": (None,),
    "zero_output_for_mask": (False, None),
    "reverse_state_order": (False, None),
    "causal": (False, None),
    "dropout": (0, 0.0, None),
    "recurrent_dropout": (0, 0.0, None),
    "keepdims": (False, None),
    "data_format": ("channels_last", None),
    "output_padding": (None,),
    "dilation_rate": (1, [1], [1, 1], [1, 1, 1], (1, 1), None),
    "activity_regularizer": (None,),
    "noise_shape": (None,),
    "return_state": (False,),
    "lora_rank": (None,),
    "lora_alpha": (None,),
    "crop_to_aspect_ratio": (False,),
    "pad_to_aspect_ratio": (False,),
    "antialias": (False,),
    "fill_mode": ("constant",),
    "fill_value": (0, 0.0),
    "invert": (False,),
    "score_mode": ("dot",),
    "rms_scaling": (False,),
    "flash_attention": (None, False),
    "sliding_window": (None,),
    "use_gate": (False,),
    "gptq_unpacked_column_size": (None,),
    "int8_custom_gradient": (None,),
    "mask": (None,),
    "output_shape": (None,),
    "arguments": (None, {}),
    "interpolation": ("nearest",),
    "threshold": (0, 0.0),
    "negative_slope": (0, 0.0),
    "reset_after": (False,),
}
"""Settings that say nothing with these values, so that a release without the setting computes the same."""

_GONE = {
    "LocallyConnected1D": "Keras 3 has no locally connected layers. Write it as a custom layer",
    "LocallyConnected2D": "Keras 3 has no locally connected layers. Write it as a custom layer",
    "DenseFeatures": "feature columns exist in tf.keras up to TensorFlow 2.15 only. Use preprocessing layers",
    "Merge": "Keras 2 replaced it by Add, Concatenate and others",
}


def never_counts(setting: str) -> bool:
    """Whether the result does not depend on this setting."""
    return setting in _ANY


def says_nothing(setting: str, value: Any) -> bool:
    """Whether a release without the setting computes what this value of it says."""
    return setting in _ANY or value in _NEUTRAL.get(setting, ())


def drop(name: str, config: Dict[str, Any], accepted: Set[str], about: LayerReport) -> None:
    """Removes what the target does not take and what has no effect; refuses the rest."""
    for setting in [setting for setting in config if setting not in accepted]:
        value = config.pop(setting)
        if says_nothing(setting, value):
            continue
        about.refuse(
            f"the target's {name} has no setting {setting}, and its value {_short(value)} changes the result. Write "
            "the layer as a custom layer and pass it with --custom-objects"
        )


def drop_from_custom(config: Dict[str, Any], target: KerasRelease) -> None:
    """Keras's own settings in the configuration of a user's layer, which its ``__init__`` passes on to Keras."""
    if target.is_keras_3:
        for setting in ("batch_input_shape", "dynamic"):
            config.pop(setting, None)


def missing_class(name: str, target: KerasRelease) -> str:
    if name in _GONE:
        return _GONE[name]
    return (
        f"{target} has no layer {name}. If it is your own, pass the module that defines it: --custom-objects module.py"
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."
