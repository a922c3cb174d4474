"""Seeded faults are found with their reason, and correct ports raise no alarm. All trainings are simulated."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.support.simulated_training import simulate
from tfkernels.diagnosis.diagnose import diagnose
from tfkernels.diagnosis.rules.catalogue import RULES


class Fault(NamedTuple):
    """``base`` are settings of both sides, ``fault`` those of the second, with what is to be found."""

    id: str
    quantity: str
    reason: str
    base: dict[str, Any]
    fault: dict[str, Any]
    step: int = 1


MLP: dict[str, Any] = {}
SGD = {"optimizer": "sgd", "rate": 0.1}
MOMENTUM = {"optimizer": "momentum", "rate": 0.05}
RMS = {"optimizer": "rmsprop", "rate": 0.01}
ADAGRAD = {"optimizer": "adagrad", "rate": 0.05, "start": 0.1}
CONV = {"model": "conv", **SGD}
BN = {"model": "bn"}
LSTM = {"model": "lstm", "activation": "tanh"}
GRU = {"model": "gru", "activation": "tanh"}
ATTENTION = {"model": "attention", "activation": "gelu"}
L2 = {"l2": 1e-2}


def _reordered(x: Any, step: int) -> Any:
    return x[np.random.RandomState(9).permutation(len(x))]


def _next_batch(x: Any, step: int) -> Any:
    return np.random.RandomState(50 + (step + 1) % 3).normal(size=x.shape)


def _gates_moved(name: str, value: Any) -> Any:
    if not name.startswith("lstm"):
        return value
    i, f, c, o = np.split(value, 4, axis=-1)
    return np.concatenate([i, c, f, o], axis=-1)


FAULTS = [
    Fault("inputs not divided by 255", "input", "inputs-scaled", MLP, {"input": lambda x, step: x * 255}),
    Fault("inputs from -1 to 1", "input", "inputs-scaled", CONV, {"input": lambda x, step: x * 2 - 1}),
    Fault("BGR", "input", "inputs-rearranged", CONV, {"input": lambda x, step: x[..., ::-1]}),
    Fault("rows and columns", "input", "inputs-rearranged", CONV, {"input": lambda x, step: x.transpose(0, 2, 1, 3)}),
    Fault("float16 inputs", "input", "inputs-rounded", MLP, {"input": lambda x, step: x.astype("float16")}),
    Fault("shuffled", "input", "examples-in-another-order", MLP, {"input": _reordered, "target": _reordered}),
    Fault("other batches", "input", "batches-in-another-order", MLP, {"input": _next_batch}),
    Fault("sequence a step later", "input", "inputs-shifted", GRU, {"input": lambda x, step: np.roll(x, 1, axis=1)}),
    Fault("labels from 1", "input", "labels-shifted", MLP, {"target": lambda y, step: np.roll(y, 1, axis=1)}),
    Fault("smoothed targets", "input", "targets-smoothed", MLP, {"target": lambda y, step: y * 0.9 + 0.025}),
    Fault("scaled targets", "input", "targets-scaled", {"loss": "mse"}, {"target": lambda y, step: y / 10}),
    Fault("other weights", "output", "initial-weights", MLP, {"seed": 2}),
    Fault(
        "transposed kernel",
        "output",
        "weights-rearranged",
        {"model": "shared"},
        {"weights": lambda n, v: v.T if n == "dense/kernel" else v},
    ),
    Fault(
        "channels of kernel",
        "output",
        "weights-rearranged",
        CONV,
        {"weights": lambda n, v: v[:, :, ::-1] if n == "conv2d/kernel" else v},
    ),
    Fault("gates of weights", "output", "gate-order", LSTM, {"weights": _gates_moved}),
    Fault("padding", "output", "padding", CONV, {"padding": "symmetric"}),
    Fault("activation", "output", "activation", MLP, {"activation": "linear"}),
    Fault("leaky relu", "output", "activation", {"activation": "leaky 0.2"}, {"activation": "leaky 0.3"}),
    Fault("gelu", "output", "activation", ATTENTION, {"activation": "exact gelu"}),
    Fault("bn epsilon", "output", "normalization-epsilon", BN, {"bn_epsilon": 1e-5}),
    Fault("ln epsilon", "output", "normalization-epsilon", ATTENTION, {"ln_epsilon": 1e-3}),
    Fault("ln epsilon 1e-5", "output", "normalization-epsilon", ATTENTION, {"ln_epsilon": 1e-5}),
    Fault("bn in inference", "output", "normalization-statistics", BN, {"bn_training": False}),
    Fault("dropout rate", "output", "dropout-rate", {"dropout": 0.2}, {"dropout": 0.8}),
    Fault("no dropout", "output", "dropout-rate", {"dropout": 0.3}, {"dropout": 0.0}),
    Fault("dropout masks", "output", "dropout-masks", {"dropout": 0.3}, {"mask_seed": 7}),
    Fault("gates hard sigmoid", "output", "recurrent-activation", {**LSTM, "mask": False}, {"gates": "hard_sigmoid"}),
    Fault("forget bias", "output", "forget-bias", {**LSTM, "mask": False}, {"forget": 1.0}),
    Fault("forget bias with padding", "output", "forget-bias", LSTM, {"forget": 1.0}),
    Fault("gate formula", "output", "gate-formula", {**LSTM, "mask": False}, {"order": "icfo"}),
    Fault("reset after", "output", "reset-after", GRU, {"reset_after": False}),
    Fault("gru hard sigmoid", "output", "recurrent-activation", GRU, {"gates": "hard_sigmoid"}),
    Fault("attention scale", "output", "output-scaled", ATTENTION, {"attention_scale": False}),
    Fault("residual", "output", "skip-connection", ATTENTION, {"residual": False}),
    Fault("mask ignored", "output", "mask-ignored", LSTM, {"mask": False}),
    Fault("flatten", "output", "output-rearranged", {**CONV, "pool": "flatten"}, {"flatten": "first"}),
    Fault("sum", "loss", "loss-reduction", MLP, {"reduction": "sum"}),
    Fault("sum beside l2", "loss", "loss-reduction", L2, {"reduction": "sum"}),
    Fault("half", "loss", "loss-reduction", {"loss": "mse"}, {"reduction": "half"}),
    Fault("softmax twice", "loss", "loss-function", {"loss": "probabilities"}, {"loss": "twice"}),
    Fault("mae", "loss", "loss-function", {"loss": "mse"}, {"loss": "mae"}),
    Fault("binary", "loss", "loss-function", MLP, {"loss": "sigmoid"}),
    Fault("smoothing", "loss", "label-smoothing", MLP, {"smoothing": 0.1}),
    Fault("loss weight", "loss", "loss-weight", MLP, {"loss_weight": 0.4}),
    Fault("l2 lost", "loss", "regularization-lost", L2, {"l2": 0.0}),
    Fault("l2 half", "loss", "regularization-amount", L2, {"l2_half": True}),
    Fault("l2 biases", "loss", "regularization-amount", L2, {"l2_biases": True}),
    Fault("l2 tenfold", "loss", "regularization-amount", L2, {"l2": 1e-3}),
    Fault("clip norm against global", "gradient", "clipping", {"clip": ("norm", 0.1)}, {"clip": ("global", 0.1)}),
    Fault("clip value", "gradient", "clipping", {"clip": ("norm", 0.1)}, {"clip": ("value", 0.01)}),
    Fault("clip missing", "gradient", "clipping", {"clip": ("global", 0.1)}, {"clip": None}),
    Fault("clip limit", "gradient", "clipping", {"clip": ("global", 0.1)}, {"clip": ("global", 0.2)}),
    Fault("frozen layer", "gradient", "gradient-missing", MLP, {"frozen": ("dense/kernel", "dense/bias")}),
    Fault("stopped gradient", "gradient", "gradient-missing", MLP, {"stopped": ("dense/kernel", "dense/bias")}),
    Fault("gradients averaged", "gradient", "gradient-factor", MLP, {"gradient_factor": 1 / 16}),
    Fault("decay in gradients", "gradient", "decay-in-gradient", MLP, {"gradient_decay": 1e-2}),
    Fault("gradient multiplier", "gradient", "gradient-factor-of-some", MLP, {"multipliers": {"dense_2/kernel": 0.1}}),
    Fault("reversed gradient", "gradient", "gradient-sign", MLP, {"multipliers": {"dense_2/kernel": -1.0}}),
    Fault("not shared", "gradient", "not-shared", {"model": "shared"}, {"shared": False}),
    Fault("beta_1", "slot", "slot-decay", MLP, {"beta_1": 0.8}),
    Fault("beta_2", "slot", "slot-decay", MLP, {"beta_2": 0.99}),
    Fault("rho", "slot", "slot-decay", RMS, {"rho": 0.99}),
    Fault("momentum", "slot", "slot-decay", MOMENTUM, {"momentum": 0.99}, 2),
    Fault("no momentum", "slot", "optimizer", MOMENTUM, {"optimizer": "sgd"}),
    Fault("adam against rmsprop", "slot", "optimizer", MLP, {"optimizer": "rmsprop"}),
    Fault("mean square at 1", "slot", "slot-start", RMS, {"start": 1.0}),
    Fault("adagrad at 0", "slot", "slot-start", ADAGRAD, {"start": 0.0}),
    Fault("epsilon hat", "update", "epsilon", {"epsilon": 1e-4}, {"form": "corrected"}),
    Fault("epsilon hat 1e-7", "update", "epsilon", {"epsilon": 1e-5}, {"form": "corrected"}),
    Fault("epsilon size", "update", "epsilon", {"epsilon": 1e-3}, {"epsilon": 1e-7}),
    Fault("epsilon inside", "update", "epsilon", {**RMS, "epsilon": 1e-5}, {"form": "inside"}),
    Fault("adagrad epsilon", "update", "epsilon", {**ADAGRAD, "epsilon": 1e-2}, {"epsilon": 1e-7}),
    Fault("another share", "slot", "dampening", MLP, {"share": 1.0}),
    Fault("rate of a layer", "update", "rate-of-some-weights", SGD, {"rates": {"dense_2/kernel": 10.0}}),
    Fault("nesterov", "update", "nesterov", MOMENTUM, {"nesterov": True}),
    Fault(
        "nesterov in keras",
        "update",
        "nesterov",
        {**MOMENTUM, "nesterov": True},
        {"nesterov": False, "keras_momentum": True},
    ),
    Fault("nadam", "update", "update-formula", MLP, {"optimizer": "nadam"}),
    Fault("decoupled decay", "update", "weight-decay", MLP, {"weight_decay": 1e-3}),
    Fault("decay by rate", "update", "weight-decay", {"weight_decay": 1e-2}, {"weight_decay": 1e-4}),
    Fault("not in the list", "update", "frozen", MLP, {"not_updated": ("dense/kernel",)}),
    Fault("learning rate", "update", "learning-rate", MLP, {"rate": 0.001}),
    Fault("learning rate sgd", "update", "learning-rate", SGD, {"rate": 0.01}),
    Fault("no bias correction", "update", "bias-correction", MLP, {"bias_correction": False}),
    Fault("counts a step more", "update", "bias-correction", MLP, {"count": 1}),
    Fault(
        "a step ahead",
        "update",
        "step-count",
        {**SGD, "schedule": lambda t: 0.1 * 0.8**t},
        {"schedule": lambda t: 0.1 * 0.8 ** (t + 1)},
    ),
    Fault(
        "schedule",
        "update",
        "learning-rate-schedule",
        {**SGD, "schedule": lambda t: 0.1 * 0.8**t},
        {"schedule": lambda t: 0.1 / (1 + 0.25 * t)},
        3,
    ),
    Fault(
        "decay ignored",
        "update",
        "learning-rate-schedule",
        {**MOMENTUM, "schedule": lambda t: 0.1 * 0.8**t},
        {"schedule": None, "rate": 0.1},
        2,
    ),
    Fault("UPDATE_OPS", "statistic", "statistics-not-updated", BN, {"bn_updates": False}),
    Fault("bn momentum", "statistic", "statistics-momentum", BN, {"bn_momentum": 0.9}),
    Fault("bn momentum conv", "statistic", "statistics-momentum", CONV, {"bn_momentum": 0.01}),
    Fault("n - 1", "statistic", "variance-correction", BN, {"bessel": True}),
    Fault("ema decay", "statistic", "average-decay", {"average": 0.999}, {"average": 0.9}),
    Fault("ema num_updates", "statistic", "average-decay", {"average": 0.999}, {"num_updates": True}),
    Fault("no ema", "statistic", "averages-missing", {"average": 0.999}, {"average": None}),
]

PAIRS = [
    ("epsilon and bn momentum", BN, {"epsilon": 1e-3, "bn_momentum": 0.9}, {"epsilon", "statistics-momentum"}),
    (
        "sum and clip",
        {"clip": ("global", 0.1)},
        {"reduction": "sum", "clip": ("norm", 0.1)},
        {"loss-reduction", "clipping"},
    ),
    ("padding and l2", {**CONV, **L2}, {"padding": "symmetric", "l2": 0.0}, {"padding", "regularization-lost"}),
    ("dropout and beta_2", {"dropout": 0.2}, {"dropout": 0.8, "beta_2": 0.99}, {"dropout-rate", "slot-decay"}),
    (
        "inputs and nesterov",
        MOMENTUM,
        {"input": lambda x, step: x * 2, "nesterov": True},
        {"inputs-scaled", "nesterov"},
    ),
    (
        "forget bias and learning rate",
        {**LSTM, "mask": False},
        {"forget": 1.0, "rate": 0.001},
        {"forget-bias", "learning-rate"},
    ),
    ("smoothing and momentum", MOMENTUM, {"smoothing": 0.1, "momentum": 0.5}, {"label-smoothing", "slot-decay"}),
    (
        "frozen and bias correction",
        MLP,
        {"frozen": ("dense/kernel",), "bias_correction": False},
        {"gradient-missing", "bias-correction"},
    ),
    (
        "bn epsilon and n - 1",
        BN,
        {"bn_epsilon": 1e-5, "bessel": True},
        {"normalization-epsilon", "variance-correction"},
    ),
    ("activation and ema", {"average": 0.99}, {"activation": "tanh", "average": 0.9}, {"activation", "average-decay"}),
    (
        "ln epsilon and weight decay",
        ATTENTION,
        {"ln_epsilon": 1e-3, "weight_decay": 1e-3},
        {"normalization-epsilon", "weight-decay"},
    ),
    (
        "l2 half and mean square",
        {**RMS, **L2},
        {"l2_half": True, "start": 1.0},
        {"regularization-amount", "slot-start"},
    ),
    (
        "two layers",
        {**ATTENTION, "ln_epsilon": 1e-6},
        {"residual": False, "ln_epsilon": 1e-3},
        {"skip-connection", "normalization-epsilon"},
    ),
    ("decay and stop", MLP, {"stopped": ("dense/kernel",), "weight_decay": 1e-3}, {"gradient-missing", "weight-decay"}),
]

PORTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("adam", MLP, {}),
    ("adam with large rate", {"rate": 0.1, "steps": 5}, {}),
    ("sgd", SGD, {}),
    ("a slot for a momentum of 0", SGD, {**MOMENTUM, "rate": 0.1, "momentum": 0.0}),
    ("momentum in Keras's form", MOMENTUM, {"keras_momentum": True}),
    ("nesterov in Keras's form", {**MOMENTUM, "nesterov": True}, {"keras_momentum": True}),
    ("decaying momentum in Keras's form", {**MOMENTUM, "schedule": lambda t: 0.1 * 0.8**t}, {}),
    ("rmsprop", RMS, {}),
    ("adagrad", ADAGRAD, {}),
    ("bias before batch normalisation", BN, {}),
    ("convolutions", {**CONV, "optimizer": "adam", "rate": 0.01}, {}),
    ("lstm", LSTM, {}),
    ("gru", {**GRU, "batch": 4}, {}),
    ("attention", ATTENTION, {}),
    ("clipping and l2", {**L2, "clip": ("global", 0.1)}, {}),
    ("clipping that does nothing", {"clip": ("global", 1e3)}, {"clip": None}),
    ("dropout with masks", {"dropout": 0.4, "average": 0.99}, {}),
    ("softmax in the model", {"loss": "probabilities"}, {"loss": "logits"}),
    ("shared", {"model": "shared"}, {}),
    ("moving variance of many", {**CONV, "batch": 32}, {"bessel": True}),
    ("weight decay", {"weight_decay": 1e-4}, {}),
    ("one step", {"steps": 1}, {}),
    ("mse", {"loss": "mse", **SGD}, {}),
    ("nadam", {"optimizer": "nadam"}, {}),
    ("epsilon that cannot be seen", {"epsilon": 1e-10}, {"epsilon": 1e-9}),
]


def pair(base: dict[str, Any], other: dict[str, Any]) -> Any:
    return diagnose(simulate(**base), simulate(**{**base, **other, "precise": True}))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id.replace(" ", "_"))
def test_fault_is_found_with_its_reason(fault: Fault) -> None:
    findings = pair(fault.base, fault.fault).findings
    assert [(each.quantity, each.reason, each.step) for each in findings] == [
        (fault.quantity, fault.reason, fault.step)
    ], "\n".join(map(str, findings))


@pytest.mark.parametrize(
    ("base", "fault", "reasons"), [pair[1:] for pair in PAIRS], ids=[pair[0].replace(" ", "_") for pair in PAIRS]
)
def test_both_of_two_faults_are_found(base: dict[str, Any], fault: dict[str, Any], reasons: set[str]) -> None:
    findings = pair(base, fault).findings
    assert {each.reason for each in findings} == reasons, "\n".join(map(str, findings))


@pytest.mark.parametrize(
    ("base", "other"), [port[1:] for port in PORTS], ids=[port[0].replace(" ", "_") for port in PORTS]
)
def test_correct_port_raises_no_alarm(base: dict[str, Any], other: dict[str, Any]) -> None:
    assert not list(map(str, pair(base, other).findings))


_RANDOM = np.random.RandomState(0)
_IMAGE = _RANDOM.normal(size=(4, 8, 8, 2))
ROWS = _RANDOM.normal(size=(16, 5))
_EDGE = np.zeros_like(_IMAGE)
_EDGE[:, 0] = 1.0
_SOME_ROWS = np.ones((16, 1))
_SOME_ROWS[:3] = 0.0

MADE: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("labels-shifted", "input", {"target": np.arange(16) % 4}, {"target": (np.arange(16) + 1) % 4}),
    ("precision", "output", {"hidden": ROWS}, {"hidden": ROWS.astype("float16")}),
    ("activation-of-output", "output", {"hidden": ROWS}, {"hidden": np.maximum(ROWS, 0)}),
    ("shifted-by-a-pixel", "output", {"hidden": _IMAGE}, {"hidden": np.roll(_IMAGE, 1, axis=2)}),
    ("edges", "output", {"hidden": _IMAGE}, {"hidden": _IMAGE + _EDGE}),
    ("bias", "output", {"hidden": ROWS}, {"hidden": ROWS + np.arange(5) / 3}),
    (
        "normalization-of-output",
        "output",
        {"bn": ROWS},
        {"bn": ROWS * [0.9, 1.3, 0.5, 2, 1] + np.arange(5)},
    ),
    ("loss-part", "loss", {"loss": 1.37, "data": 1.0, "extra": 0.37}, {"loss": 1.0, "data": 1.0}),
    ("clipped", "gradient", {"w": ROWS}, {"w": ROWS * 5.0 / np.sqrt((ROWS**2).sum())}),
    ("gradient-rows", "gradient", {"w": ROWS}, {"w": ROWS * _SOME_ROWS}),
]


def made(quantity: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """A trace of one step with arrays of one quantity."""
    before = {"w": np.ones((16, 5)), "bn/gamma": np.ones(5), "bn/moving_mean": np.ones(5)}
    return {"training_trace": 1, "about": {}, "weights_before": before, "steps": [{quantity: arrays}], "kept": {}}


@pytest.mark.parametrize(("reason", "quantity", "x", "y"), MADE, ids=[made[0] for made in MADE])
def test_arrays_alone_show_the_reason(reason: str, quantity: str, x: dict[str, Any], y: dict[str, Any]) -> None:
    (finding,) = diagnose(made(quantity, x), made(quantity, y)).findings
    assert (finding.quantity, finding.reason, finding.step) == (quantity, reason, 1)


def test_every_rule_has_a_case() -> None:
    without = {rule.id for rule in RULES} - {fault.reason for fault in FAULTS} - {made[0] for made in MADE}
    without -= {"sparse-squares", "direction", "another-input", "regularization-in-total"}
    assert without == set()
