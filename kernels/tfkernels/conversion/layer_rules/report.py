"""What a rewriting changed, and what it refused."""

from typing import Any, List, NamedTuple


class Change(NamedTuple):
    """A setting that was written otherwise, and why the layer computes the same."""

    layer: str
    class_name: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.class_name} {self.layer}: {self.what} ({self.why})"


class Refusal(NamedTuple):
    """Why a layer cannot be written for the target."""

    layer: str
    class_name: str
    reason: str

    def __str__(self) -> str:
        return f"layer {self.layer} ({self.class_name}): {self.reason}"


class Report:
    """Gathers changes and refusals of all layers of a model."""

    def __init__(self) -> None:
        self.changes: List[Change] = []
        self.refusals: List[Refusal] = []

    def of(self, layer: str, class_name: str) -> "LayerReport":
        return LayerReport(self, layer, class_name)


class LayerReport(NamedTuple):
    """The same for one layer."""

    report: Any
    layer: str
    class_name: str

    def changed(self, what: str, why: str) -> None:
        self.report.changes.append(Change(self.layer, self.class_name, what, why))

    def refuse(self, reason: str) -> None:
        self.report.refusals.append(Refusal(self.layer, self.class_name, reason))
