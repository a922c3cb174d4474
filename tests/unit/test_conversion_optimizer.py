"""What a conversion says of an optimizer, from its state in the old file and in the new one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfprovisioner.conversion.optimizer_proof import continued

SLOTS = {"dense/kernel": {"m": np.ones(3), "v": np.zeros(3)}}
ADAM = {"class_name": "Adam", "config": {}, "step": 300, "slots": SLOTS}
BROUGHT = {"name": "Adam", "config": {}, "why_not": "", "manner": "", "state": ADAM}


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (ADAM, "Adam continues after step 300, with its 2 slots"),
        (None, "Adam did not come along: the new file has no optimizer"),
        ({**ADAM, "class_name": "SGD"}, "Adam did not come along: the new file has SGD"),
        ({**ADAM, "step": 0}, "Adam came along without its state: it begins anew, after step 300"),
        ({**ADAM, "slots": {}}, "Adam continues after step 300, without 2 of its 2 slots: dense/kernel/m, …"),
    ],
)
def test_the_optimizer_is_compared_slot_by_slot(new: Any, said: str) -> None:
    assert continued(BROUGHT, new) == said
    assert continued(None, new) == ""
    why = {"name": "Adam", "config": {}, "why_not": "there is none"}
    assert continued(why, None) == "Adam did not come along: there is none"


def test_slots_that_the_file_lacks_do_not_continue() -> None:
    new = {**ADAM, "slots": {**SLOTS, "dense/bias": {"m": np.zeros(3)}}}
    assert continued(BROUGHT, new).endswith("without 1 of its 3 slots: dense/bias/m, …")
    empty = {**BROUGHT, "state": {**ADAM, "slots": {}}}
    assert continued(empty, ADAM).endswith("without 2 of its 2 slots: dense/kernel/m, …")
    unused = {"class_name": "SGD", "step": 3, "slots": {}}
    brought = {**BROUGHT, "name": "SGD", "config": {"momentum": 0.0}, "state": unused}
    new = {**unused, "slots": {"dense/kernel": {"momentum": np.zeros(3)}}}
    assert continued(brought, new) == "SGD continues after step 3, with its 0 slots"
    untrained = {**brought, "state": {**unused, "step": None}}
    assert continued(untrained, {**new, "step": 0}).endswith("the old file has no state of it")


def test_another_optimizer_that_computes_the_same_continues() -> None:
    brought = {**BROUGHT, "name": "RMSprop", "manner": "as Adam with beta_1=0"}
    said = "RMSprop continues after step 300, with its 2 slots, as Adam with beta_1=0"
    assert continued(brought, ADAM) == said
    unknown = {**brought, "state": {**ADAM, "step": None}}
    assert continued(unknown, {**ADAM, "step": 0}).startswith("RMSprop continues after an unknown step, w")


def test_a_lost_scalar_of_an_optimizer_is_said() -> None:
    old = {**ADAM, "class_name": "Nadam", "scalars": {"m_cache": 0.5}}
    brought = {**BROUGHT, "name": "Nadam", "state": old}
    assert continued(brought, {**old, "scalars": {"m_cache": 1.0}}).endswith("of its 3 slots: m_cache, …")
