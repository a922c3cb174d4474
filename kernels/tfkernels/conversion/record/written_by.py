"""Who wrote a file, in the record of a model that another release loaded.

A later release reads the configuration of an earlier one, and can compute a layer otherwise. Rules ask the record.
"""

from typing import Any, Dict, List

from tfkernels.conversion.record.config_layers import walk_config
from tfkernels.saved_models.saved_file import WrittenBy

_STANDALONE = ("2.0", "2.1", "2.2", "2.3")
"""The versions of the package keras that had code of its own. Keras 3, and some of 2.x in files, are TensorFlow's."""

_BILINEAR_CHANGED = (1, 14)


def add(record: Dict[str, Any], file: WrittenBy) -> List[str]:
    """Names the writer in ``written_by``, and leaves there what the configuration is written in: the loader's Keras.

    Returns what the file leaves open. Of several releases that can have written it, the newest is named.
    """
    lines = [line for line in file.tensorflow if line]
    if lines:
        record["written_by"]["tensorflow"] = lines[-1]
    if file.package == "keras" and str(file.keras).startswith(_STANDALONE):
        record["written_by"]["package"] = "standalone keras"
    if not lines or not _number(lines[0]) < _BILINEAR_CHANGED <= _number(lines[-1]):
        return []
    return [
        f"Layer {path} (UpSampling2D) is bilinear: TensorFlow 1.13 computed it otherwise than later releases, and the "
        f"file can be of {lines[0]} to {lines[-1]}."
        for path, node in walk_config(record["config"])
        if node["class_name"] == "UpSampling2D" and node["config"].get("interpolation") == "bilinear"
    ]


def _number(line: str) -> Any:
    return tuple(int(part) for part in line.split(".")[:2])
