"""Training steps in NumPy, with the settings in which releases differ, as training traces.

Simulated models are trained by derivatives made here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.derivatives import Node, log, log_softmax, sigmoid, softmax
from tests.support.simulated_models import Array, SimulatedModel
from tfkernels.training.training_trace import mark_of


class Training(SimulatedModel):
    """One training of one model."""

    def loss(self, z: Node, target: Array) -> Node:
        kind = self["loss"]
        if kind in ("mse", "mae"):
            error = z - Node(target)
            each = (error * error) if kind == "mse" else error.map(np.abs, lambda v, _: np.sign(v))
            total = each.sum() * self.dtype.type(1 / target.shape[-1])
        else:
            smoothing = self["smoothing"]
            target = (target * (1 - smoothing) + smoothing / target.shape[-1]).astype(self.dtype)
            if kind == "twice":
                logs = log_softmax(self.record("softmax", softmax(z)))
            elif kind == "probabilities":
                p = self.record("softmax", softmax(z))
                logs = log(p)
            elif kind == "sigmoid":
                p = sigmoid(z)
                both = log(p) * target + log(p * self.dtype.type(-1) + self.dtype.type(1)) * (1 - target)
                return _scaled(both.sum(), self.dtype.type(-1 / target.size))
            else:
                logs = log_softmax(z)
            total = (logs * target).sum() * self.dtype.type(-1)
        factor = {"mean": 1 / len(target), "sum": 1.0, "half": 0.5 / len(target)}[self["reduction"]]
        return _scaled(total, self.dtype.type(factor * self["loss_weight"]))

    def trace(self) -> dict[str, Any]:
        """The training trace of all steps."""
        slots: dict[str, dict[str, Array]] = {}
        averages: dict[str, Array] = {}
        steps: list[dict[str, Any]] = []
        before: dict[str, Array] = {}
        for step in range(self["steps"]):
            x, target = self._data(step)
            self.outputs, self.nodes = {}, {}
            if not step:
                self._build(x)
                before = _rounded({**self.weights, **self.moving})
                averages = {name: value.copy() for name, value in self.weights.items()}
            if step and self["leader"] is not None:
                led = self["leader"]["steps"][step - 1]
                self.weights = {name: led["weight"][name].astype(self.dtype) for name in self.weights}
            z = self.forward(x, step)
            data = self.loss(z, target.astype(self.dtype))
            penalty = self._penalty()
            total = data if penalty is None or not self["l2_in_loss"] else data + penalty
            total.backward()
            raw = {name: self.nodes[name].gradient for name in self.weights if name not in self["frozen"]}
            for name in self["stopped"]:
                raw[name] = np.zeros_like(raw[name])
            raw = {
                n: g * self.dtype.type(self["gradient_factor"] * self["multipliers"].get(n, 1.0))
                for n, g in raw.items()
            }
            raw = {n: g + self.dtype.type(self["gradient_decay"]) * self.weights[n] for n, g in raw.items()}
            clipped = self._clipped(raw)
            found: dict[str, Any] = {
                "input": {"x": x.astype("float32"), "target": target.astype("float32")},
                "output": dict(self.outputs),
                "loss": {"loss": np.float32(total.value), "data": np.float32(data.value)},
                "gradient": _rounded(clipped),
                "learning_rate": np.float32(self._rate(step)),
            }
            if penalty is not None and self["l2_in_loss"]:
                found["loss"]["regularization"] = np.float32(penalty.value)
            if self["clip"]:
                found["unclipped_gradient"] = _rounded(raw)
            self._apply(found, clipped, slots, step)
            found["statistic"] = _rounded(self.moving)
            if self["average"] is not None:
                decay = min(self["average"], (1 + step) / (10 + step)) if self["num_updates"] else self["average"]
                averages = {
                    n: self.dtype.type(decay) * averages[n] + self.dtype.type(1 - decay) * self.weights[n]
                    for n in averages
                }
                found["average"] = _rounded(averages)
            steps.append(found)
        about = {"tensorflow": "", "keras": "", "form": "tape", "batch_size": self["batch"], "optimizer": None,
                 "weights_from": mark_of(self["leader"])}  # fmt: skip
        return {"training_trace": 1, "about": about, "steps": steps, "weights_before": before, "kept": {}}

    def _data(self, step: int) -> tuple[Array, Array]:
        random = np.random.RandomState(50 + step)
        shapes = {"conv": (9, 9, 3), "lstm": (7, 5), "gru": (7, 5), "attention": (6, 8)}
        if self["model"] == "conv" and self["padding"] is not None:
            shapes["conv"] = (8, 8, 3)
        x = random.normal(size=(self["batch"], *shapes.get(self["model"], (8,))))
        if self["model"] == "lstm":
            x[: self["batch"] // 3, -2:] = 0
        target = np.eye(4)[random.randint(0, 4, self["batch"])]
        if self["loss"] in ("mse", "mae"):
            target = random.normal(size=target.shape)
        x = x if self["input"] is None else self["input"](x, step)
        target = target if self["target"] is None else self["target"](target, step)
        return x.astype("float32"), target.astype("float32")

    def _build(self, x: Array) -> None:
        training = self["bn_updates"]
        moving = {}
        self.settings["bn_updates"] = False
        self.forward(x, 0)
        self.settings["bn_updates"] = training
        moving.update(self.moving)
        for name in list(self.weights):  # so that biases show what is done to them
            if name.endswith(("bias", "beta")):
                self.weights[name] = (
                    (self._draw(name).normal(size=self.weights[name].shape) * 0.1).astype("float32").astype(self.dtype)
                )
        for part in ("kernel", "bias"):
            if f"dense_copy/{part}" in self.weights:
                self.weights[f"dense_copy/{part}"] = self.weights[f"dense/{part}"].copy()
        if self["weights"] is not None:
            self.weights = {
                n: np.ascontiguousarray(self["weights"](n, v)).astype(self.dtype) for n, v in self.weights.items()
            }
        self.outputs, self.nodes = {}, {}

    def _penalty(self) -> Node | None:
        if not self["l2"]:
            return None
        found: Node | None = None
        for name in self.weights:
            if name.endswith("kernel") or self["l2_biases"]:
                w = self.nodes[name]
                term = (w * w).sum() * self.dtype.type(self["l2"] * (0.5 if self["l2_half"] else 1))
                found = term if found is None else found + term
        return found

    def _clipped(self, raw: dict[str, Array]) -> dict[str, Array]:
        if not self["clip"]:
            return raw
        kind, limit = self["clip"]
        if kind == "value":
            return {n: np.clip(g, -limit, limit) for n, g in raw.items()}
        norms: dict[str, Any] = {n: np.sqrt((g * g).sum()) for n, g in raw.items()}
        if kind == "global":
            total = np.sqrt(sum(v * v for v in norms.values()))
            norms = dict.fromkeys(norms, total)
        return {n: (g * min(1.0, limit / norms[n])).astype(self.dtype) for n, g in raw.items()}

    def _rate(self, step: int) -> float:
        return float(self["rate"] if self["schedule"] is None else self["schedule"](step))

    def _apply(
        self, found: dict[str, Any], gradients: dict[str, Array], slots: dict[str, dict[str, Array]], step: int
    ) -> None:
        number = self.dtype.type
        names = {
            "adam": ("m", "v"),
            "nadam": ("m", "v"),
            "rmsprop": ("mean_square",),
            "adagrad": ("accumulator",),
            "momentum": ("momentum",),
            "sgd": (),
        }
        found["slot_before"], found["slot"], found["update"] = {}, {}, {}
        for name, g in gradients.items():
            if name not in slots:
                start = self.dtype.type(self["start"])
                slots[name] = {
                    slot: np.full_like(g, 0 if slot in "mv" or slot == "momentum" else start)
                    for slot in names[self["optimizer"]]
                }
            own = number(self["rates"].get(name, 1.0))
            found["slot_before"].update({f"{name}/{k}": v.astype("float32") for k, v in slots[name].items()})
            w = self.weights[name]
            old = w.astype("float32")
            new = (
                w
                if name in self["not_updated"]
                else w + own * self._update(g, slots[name], step) - self.dtype.type(self["weight_decay"]) * w
            )
            self.weights[name] = new.astype("float32").astype(self.dtype)
            slots[name] = {k: v.astype("float32").astype(self.dtype) for k, v in slots[name].items()}
            found["slot"].update({f"{name}/{k}": v.astype("float32") for k, v in slots[name].items()})
            found["update"][name] = self.weights[name].astype("float32") - old
        found["weight"] = _rounded(self.weights)

    def _update(self, g: Array, slot: dict[str, Array], step: int) -> Array:
        number, rate, t = self.dtype.type, self._rate(step), step + 1 + self["count"]
        epsilon, form = self["epsilon"], self["form"]
        if self["optimizer"] in ("adam", "nadam"):
            b1, b2 = number(self["beta_1"]), number(self["beta_2"])
            share = 1 - b1 if self["share"] is None else number(self["share"])
            slot["m"] = b1 * slot["m"] + share * g
            slot["v"] = b2 * slot["v"] + (1 - b2) * g * g
            correction = np.sqrt(1 - self["beta_2"] ** t)
            factor = rate * correction / (1 - self["beta_1"] ** t) if self["bias_correction"] else rate
            e = epsilon * correction if form == "corrected" else epsilon
            bottom = np.sqrt(slot["v"] + number(e)) if form == "inside" else np.sqrt(slot["v"]) + number(e)
            top = b1 * slot["m"] + (1 - b1) * g if self["optimizer"] == "nadam" else slot["m"]
            return number(-factor) * top / bottom
        if self["optimizer"] in ("rmsprop", "adagrad"):
            if self["optimizer"] == "rmsprop":
                rho = number(self["rho"])
                second = slot["mean_square"] = rho * slot["mean_square"] + (1 - rho) * g * g
            else:
                second = slot["accumulator"] = slot["accumulator"] + g * g
            return (
                number(-rate)
                * g
                / (np.sqrt(second + number(epsilon)) if form == "inside" else np.sqrt(second) + number(epsilon))
            )
        if self["optimizer"] == "momentum":
            if not self["momentum"]:
                return number(-rate) * g  # and the slot stays as it is, as in Keras 2.15
            mu = number(self["momentum"])
            if self["keras_momentum"]:
                slot["momentum"] = mu * slot["momentum"] - number(rate) * g
                return mu * slot["momentum"] - number(rate) * g if self["nesterov"] else slot["momentum"]
            slot["momentum"] = mu * slot["momentum"] + g
            return number(-rate) * (g + mu * slot["momentum"] if self["nesterov"] else slot["momentum"])
        return number(-rate) * g


def _scaled(node: Node, factor: Array) -> Node:
    scaled: Node = node * factor
    return scaled


def _rounded(arrays: dict[str, Array]) -> dict[str, Array]:
    return {name: value.astype("float32") for name, value in arrays.items()}


def simulate(**settings: Any) -> dict[str, Any]:
    """The training trace of one simulated training."""
    return Training(settings).trace()
