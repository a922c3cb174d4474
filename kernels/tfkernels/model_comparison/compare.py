"""``compare_models``, and the ``ModelComparison`` that it returns."""

import html
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from tfkernels.conversion.layer_rules.keras_release import KerasRelease, release_of
from tfkernels.model_comparison import wiring
from tfkernels.model_comparison.description import description_of
from tfkernels.model_comparison.pairing import Pair, pairs, plain_class
from tfkernels.model_comparison.settings import Setting, differences, text

OPTIMIZER = "(optimizer)"
"""Stands for the name of a layer, for what the models were compiled with."""


class Difference(NamedTuple):
    """What differs between two layers. ``layer`` is the name in ``a``, ``other`` the one in ``b``.

    ``default`` says that a default changed between the releases, ``meaning`` that equal values mean something else.
    """

    layer: str
    other: str
    class_name: str
    setting: str
    a: str
    b: str
    default: str = ""
    meaning: str = ""

    @property
    def note(self) -> str:
        return self.meaning or self.default


class ModelComparison:
    """The layers of two models in pairs, and what differs between them. True if nothing does.

    ``pairs``: names in both models, and how they were found to belong together. ``differences``: settings, in the order
    of the layers. ``only_a``, ``only_b``: layers without a partner.
    """

    def __init__(
        self,
        names: Tuple[str, str],
        found: List[Pair],
        differing: List[Difference],
        alone: Tuple[Mapping[str, Any], Mapping[str, Any]],
        about: Tuple[Mapping[str, Any], Mapping[str, Any]],
    ) -> None:
        self.names = names
        self.pairs = found
        self.differences = differing
        self.only_a, self.only_b = ({name: str(layer["class_name"]) for name, layer in each.items()} for each in alone)
        self.about = about

    def __bool__(self) -> bool:
        return not (self.differences or self.only_a or self.only_b)

    def of(self, layer: str) -> List[Difference]:
        """The differences of the layer with this name in ``a``."""
        return [difference for difference in self.differences if difference.layer == layer]

    def to_dict(self) -> Dict[str, Any]:
        """All of it in JSON's own types."""
        return {
            "equal": bool(self),
            "names": list(self.names),
            "about": [dict(about) for about in self.about],
            "pairs": [dict(pair._asdict()) for pair in self.pairs],
            "differences": [dict(difference._asdict()) for difference in self.differences],
            "only_a": self.only_a,
            "only_b": self.only_b,
        }

    def headline(self) -> str:
        first, second = self.names
        if self:
            return f"all {len(self.pairs)} layers have the same settings in {first} and {second}"
        layers = {difference.layer for difference in self.differences} - {OPTIMIZER}
        parts = []
        if layers:
            parts.append(f"{len(layers)} of {len(self.pairs)} pairs of layers differ between {first} and {second}")
        if self.of(OPTIMIZER):
            parts.append("the optimizers differ")
        for name, alone in zip(self.names, (self.only_a, self.only_b)):
            if alone:
                parts.append(f"{len(alone)} {'layer is' if len(alone) == 1 else 'layers are'} in {name} only")
        return "; ".join(parts)

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
        lines = [self.headline()]
        for row in rows:
            line = "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths))
            lines.append(f"  {line}  {row[4]}".rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = self._rows()
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0]) if rows else ""
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if rows else ""
        return f"<p>{html.escape(self.headline())}</p>{table}"

    def _rows(self) -> List[Tuple[str, str, str, str, str]]:
        """The table, with its head: layer, setting, both values, and what is known about it."""
        if self:
            return []
        rows = [("layer", "setting", *self.names, "")]
        for one in self.differences:
            layer = one.layer if one.layer == one.other else f"{one.layer} / {one.other}"
            rows.append((layer, one.setting, one.a, one.b, one.note))
        rows += [(name, "", kind, "(not there)", "") for name, kind in self.only_a.items()]
        rows += [(name, "", "(not there)", kind, "") for name, kind in self.only_b.items()]
        return rows


def compare_models(
    a: Any, b: Any, names: Tuple[str, str] = ("a", "b"), mapping: Optional[Mapping[str, str]] = None
) -> ModelComparison:
    """Compares two models by their layers and settings, before any number is computed.

    ``a`` and ``b`` are Keras models, or what :func:`describe` gave in another kernel::

        old = %tf1 tfkernels.describe(model)
        tfkernels.compare_models(old, model, names=("tf1", "tf2"))

    Layers are paired by name, then by the names and shapes of their weights, then by class and place. ``mapping`` says
    it otherwise: ``{"layer in a": "layer in b"}``. Of a pair every setting that differs is shown, and shapes of
    weights, ``trainable``, and the layers that it gets its ``inputs`` from, where the models tell them. A difference
    that comes from a default that changed between the releases says so, and so does an equal value that another
    release computes otherwise. The optimizers of compiled models are compared, too.

    Raises ``UsageError`` for what is neither a model nor a description.
    """
    one, other = description_of(a, "a"), description_of(b, "b")
    found = pairs(one["layers"], other["layers"], mapping or {})
    releases = release_of(one["about"]), release_of(other["about"])
    partners = {pair.a: pair.b for pair in found}
    differing: List[Difference] = []
    for pair in found:
        differing += _of_pair(pair, one["layers"][pair.a], other["layers"][pair.b], *releases)
        differing += _of_inputs(pair, one["layers"], other["layers"], partners)
    differing += _of_training(one, other, *releases)
    alone = (
        {name: layer for name, layer in one["layers"].items() if name not in {pair.a for pair in found}},
        {name: layer for name, layer in other["layers"].items() if name not in {pair.b for pair in found}},
    )
    return ModelComparison((names[0], names[1]), found, differing, alone, (one["about"], other["about"]))


def _of_pair(
    pair: Pair, a: Mapping[str, Any], b: Mapping[str, Any], release_a: KerasRelease, release_b: KerasRelease
) -> List[Difference]:
    class_name = plain_class(a)
    other_class = plain_class(b)
    found: List[Setting] = []
    if class_name != other_class:
        found.append(Setting("class", a["class_name"], b["class_name"]))
    elif a["settings"] is None or b["settings"] is None:
        if a["settings"] is not b["settings"]:
            found.append(Setting("settings", *("not known" if one["settings"] is None else "known" for one in (a, b))))
    else:
        found += differences(class_name, a["settings"], b["settings"], release_a, release_b)
    if a["trainable"] != b["trainable"]:
        found.append(Setting("trainable", str(a["trainable"]), str(b["trainable"])))
    same_layout = a["class_name"].startswith("CuDNN") == b["class_name"].startswith("CuDNN")
    for weight in [*a["weights"], *(weight for weight in b["weights"] if weight not in a["weights"])]:
        shapes = [one["weights"].get(weight) for one in (a, b)]
        if shapes[0] != shapes[1] and same_layout and class_name == other_class:
            shown = ("(not there)" if shape is None else text(list(shape)) for shape in shapes)
            found.append(Setting(f"shape of {weight}", *shown))
    return [Difference(pair.a, pair.b, class_name, *setting) for setting in found]


def _of_inputs(pair: Pair, a: Mapping[str, Any], b: Mapping[str, Any], partners: Mapping[str, str]) -> List[Difference]:
    wired = wiring.differing(a, b, pair.a, pair.b, partners)
    return [] if wired is None else [Difference(pair.a, pair.b, plain_class(a[pair.a]), "inputs", wired.a, wired.b)]


def _of_training(
    a: Mapping[str, Any], b: Mapping[str, Any], release_a: KerasRelease, release_b: KerasRelease
) -> List[Difference]:
    """The optimizers' classes and settings. Losses have too many forms: those of the training step are compared."""
    one, other = a.get("optimizer"), b.get("optimizer")
    if not one or not other:
        return []
    classes = [str(each["class_name"]).replace("Optimizer", "") for each in (one, other)]
    if classes[0].lower() != classes[1].lower():
        found = [Setting("class", classes[0], classes[1])]
    else:
        found = differences(classes[0], one["config"], other["config"], release_a, release_b)
    return [Difference(OPTIMIZER, OPTIMIZER, classes[0], *setting) for setting in found]
