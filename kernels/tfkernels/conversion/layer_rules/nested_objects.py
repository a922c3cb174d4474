"""Rules for objects in a layer's configuration: activations, initializers, regularizers, constraints, dtypes."""

from typing import Any, Dict

from tfkernels.conversion.layer_rules.changed_settings import HARD_SIGMOID, changed_meaning
from tfkernels.conversion.layer_rules.keras_release import KerasRelease
from tfkernels.conversion.layer_rules.report import LayerReport

_ACTIVATIONS = ("activation", "recurrent_activation")
_OBJECTS = ("_initializer", "_regularizer", "_constraint")
_SAME_ACTIVATION = {"softmax_v2": "softmax", "relu_v2": "relu"}
_SAME_CLASS = {
    "IdentityInitializer": "Identity",
    "OrthogonalInitializer": "Orthogonal",
    "LecunNormalV2": "LecunNormal",
    "GlorotUniformV2": "GlorotUniform",
    "GlorotNormalV2": "GlorotNormal",
    "HeNormalV2": "HeNormal",
    "HeUniformV2": "HeUniform",
}


def function_in_all_releases(name: str) -> str:
    """The name of a function of Keras without the release that it is from: ``softmax`` of ``softmax_v2``."""
    return _SAME_ACTIVATION.get(name, name.split(">")[-1])


def class_in_all_releases(name: str) -> str:
    """The same for the class of an initializer, a regularizer or a constraint."""
    return _SAME_CLASS.get(name.split(">")[-1], name.split(">")[-1])


def rewrite(config: Dict[str, Any], source: KerasRelease, target: Any, about: LayerReport) -> None:
    for key in list(config):
        if key in _ACTIVATIONS:
            config[key] = _activation(config[key], key, config, source, target, about)
        elif key.endswith(_OBJECTS) and isinstance(config[key], dict):
            config[key] = _object(config[key], key, target, about)


def rewrite_common(config: Dict[str, Any], target: Any, about: LayerReport) -> None:
    """What users' layers have, too: the dtype, which became a policy."""
    if "dtype" not in config:
        return
    dtype = config["dtype"]
    if isinstance(dtype, dict):
        settings = dtype.get("config") or {}
        dtype = settings.get("name", settings.get("source_name"))
        if "Quantized" in str(config["dtype"].get("class_name")):
            about.refuse("it is quantized, which no other release can take over")
    if dtype in (None, "infer", "_infer") or str(dtype).startswith("infer"):
        dtype = str(dtype).split("_with_")[-1].replace("infer_", "") if "float" in str(dtype) else None
    if dtype is None:
        config.pop("dtype")
        return
    if str(dtype).startswith("mixed") and not target.release.is_keras_3 and target.release.before((2, 4)):
        about.refuse(f"it computes with the policy {dtype}, which the target knows under no stable name")
    config["dtype"] = dtype


def _activation(
    value: Any, key: str, config: Dict[str, Any], source: KerasRelease, target: Any, about: LayerReport
) -> Any:
    if isinstance(value, dict) and value.get("class_name") in ("function", "builtins.function"):
        value = value["config"]
    if isinstance(value, dict):
        if not target.release.is_keras_3 or not source.is_keras_3:
            about.refuse(f"its {key} is an object of class {value.get('class_name')}, and not the name of a function")
        return value
    if not isinstance(value, str):
        return value
    name = function_in_all_releases(value)
    if changed_meaning("", key, name, source, target.release):
        if target.release.is_keras_3:
            about.changed(
                f"{key}=clip(0.2 x + 0.5), made of Rescaling and ReLU",
                HARD_SIGMOID,
            )
            return _hard_sigmoid_of_keras_2(config.get("dtype"))
        about.refuse(f"its {key} is Keras 3's hard_sigmoid (slope 1/6), which {target.release} does not have")
    if not target.activations(name):
        about.refuse(
            f"the target has no function {name} for its {key}. If it is your own, pass the module that defines it: "
            "--custom-objects module.py"
        )
    return name


def _hard_sigmoid_of_keras_2(dtype: Any) -> Dict[str, Any]:
    """A function made of layers of Keras 3, so that a file with it opens without any code of ours."""
    given = {} if dtype is None else {"dtype": dtype}

    def layer(class_name: str, **settings: Any) -> Dict[str, Any]:
        config = {**settings, **given}
        return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}

    steps = [
        layer("Rescaling", name="scaled", scale=0.2, offset=0.5),
        layer("ReLU", name="clipped", max_value=1.0),
    ]
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "hard_sigmoid_of_keras_2", "layers": steps, **given},
        "registered_name": None,
    }


def _object(value: Dict[str, Any], key: str, target: Any, about: LayerReport) -> Any:
    """An initializer, regularizer or constraint. Initializers have done their work: the weights are there."""
    name = str(value.get("class_name")).split(">")[-1]
    settings = value.get("config")
    if name == "function":
        name = str(settings)
    if isinstance(settings, dict):
        settings = {setting: item for setting, item in settings.items() if setting != "dtype"}
        if name == "VarianceScaling" and settings.get("distribution") == "normal":
            settings["distribution"] = "truncated_normal"  # what it drew from, until 1.12 under this name
        if name == "RandomUniform" and settings.get("maxval", 0) is None:
            settings["maxval"] = 1.0  # what TensorFlow drew below; Keras 3 takes no None
    name = _SAME_CLASS.get(name, name)
    if name in ("L1", "L2") and not target.knows(key, name):
        name = "L1L2"  # the only class of releases before 2.4, with one of both
    if not target.knows(key, name):
        if key.endswith("_initializer"):
            about.changed(f"{key}='zeros' in place of {name}", "the target lacks it, and the weights are set already")
            return {"class_name": "Zeros", "config": {}}
        about.refuse(
            f"the target has no {name} for its {key}. If it is your own, pass the module that defines it: "
            "--custom-objects module.py"
        )
    settings = settings if isinstance(settings, dict) else {}
    accepted = target.settings_of(key, name)
    extra = [] if accepted is None else [setting for setting in settings if setting not in accepted]
    for setting in extra:
        value = settings.pop(setting)
        if value is not None and not key.endswith("_initializer"):
            about.refuse(f"the target's {name} for its {key} has no setting {setting}, which is {value!r}")
    return {"class_name": name, "config": settings}
