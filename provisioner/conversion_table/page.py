"""The page of the docs: what arrives, by release and format, with plain loading beside it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfprovisioner.catalogue.releases import order_of

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "conversions.md"

Entry = Mapping[str, Any]

_FORMATS = {
    "whole-h5": "whole model, `.h5`", "keras": "whole model, `.keras`", "weights-h5": "weights, `.h5`",
    "weights-h5-legacy": "weights, `.h5` (older form)", "weights-checkpoint": "weights, checkpoint of Keras",
    "saved-model": "SavedModel of Keras", "exported": "SavedModel, `export_saved_model`",
    "export": "SavedModel, `model.export`", "saver-v1": "checkpoint of a Saver, version 1",
    "saver-v2": "checkpoint of a Saver, version 2", "frozen": "frozen graph, `.pb`",
    "saved-model-two-tags": "SavedModel of a graph, two tags", "checkpoint": "checkpoint of objects",
}  # fmt: skip


def write(entries: Sequence[Entry], specimens: int) -> None:
    PAGE.write_text(text(entries, specimens), encoding="utf-8")


def text(entries: Sequence[Entry], specimens: int) -> str:
    """The page. ``specimens`` is how many there are; a part of them may be measured."""
    measured = len({entry["specimen"] for entry in entries})
    targets = sorted({str(entry["target"]) for entry in entries}, key=order_of)
    lines = [
        "# Conversions", "",
        "Specimens of saved models, converted with [`tfkernels convert`](commands.md#convert).",
        "A model arrives if the new file computes the same within 1e-5.",
        f"Of {specimens} specimens, {measured} were measured{', drawn at random' * (measured < specimens)}.",
        "A model with Lambdas of Python byte code was converted with `--trust`.",
        "For weights alone, `--model` named the architecture. It does not tell the optimizer's settings.",
        "For checkpoints of objects it named a function that builds the module.",
        "So it did for convolutions of 1.4, which does not save the `dilation_rate` of a SeparableConv2D.",
        "Without the function they are refused, with that reason.",
        "Plain loading counts what the target's own functions load as a model, with all their options.", "",
        "This page is measured and written by `make conversions`. Do not edit it.", "",
    ]  # fmt: skip
    for target in targets:
        of_target = [entry for entry in entries if entry["target"] == target]
        lines += [f"## To TensorFlow {target}", "", *_table("written by", _by(of_target, "release", order_of)), ""]
        lines += [*_table("format", _by(of_target, "format", None)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _by(entries: Sequence[Entry], key: str, order: Any) -> Iterable[tuple[str, list[Entry]]]:
    names = dict.fromkeys(str(entry[key]) for entry in entries)
    for name in sorted(names, key=order) if order else names:
        yield _FORMATS.get(name, name), [entry for entry in entries if str(entry[key]) == name]


def _table(head: str, groups: Iterable[tuple[str, list[Entry]]]) -> list[str]:
    columns = (
        head, "specimens", "arrive", "different", "refused", "optimizer continues", "plain: model",
        "plain: weights or function",
    )  # fmt: skip
    rows = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    everything: list[Entry] = []
    for name, found in groups:
        everything += found
        rows.append(_row(name, found))
    return [*rows, _row("all", everything)]


def _row(name: str, found: Sequence[Entry]) -> str:
    outcomes = [sum(one["outcome"] == outcome for one in found) for outcome in ("equal", "different", "not converted")]
    plain = [one["plain"] for one in found if "plain" in one]
    cells = [
        len(found), *outcomes, sum(", with its" in (one["optimizer"] or "") for one in found),
        *(f"{sum(one in kinds for one in plain)} of {len(plain)}" if plain else "—"
          for kinds in (("model",), ("weights", "function"))),
    ]  # fmt: skip
    return f"| {name} | {' | '.join(map(str, cells))} |"
