"""All rules. Within a quantity and an aspect, the first that fits counts."""

from __future__ import annotations

from tfkernels.diagnosis.rules import (
    gradients,
    initial_weights,
    inputs,
    layer_settings,
    learning_rates,
    losses,
    outputs,
    repeated_rows,
    slots,
    statistics,
    updates,
)
from tfkernels.diagnosis.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    *inputs.RULES,
    *initial_weights.RULES,
    *layer_settings.RULES,
    *outputs.RULES,
    *losses.RULES,
    *gradients.RULES,
    *slots.RULES,
    *repeated_rows.RULES,
    *updates.RULES,
    *learning_rates.RULES,
    *statistics.RULES,
)
