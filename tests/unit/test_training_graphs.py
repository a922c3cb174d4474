"""What is found in a graph of training: losses, gradients, slots and what waits for what. Operations are stand-ins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.graphs import Graph
from tfkernels.errors import TraceError
from tfkernels.training.graph import step_record
from tfkernels.training.graph.feeds import feed_of_step
from tfkernels.training.graph.layer_outputs import layer_outputs
from tfkernels.training.graph.loss_terms import loss_of_gradients, terms_of
from tfkernels.training.graph.operations import changed, closure, variable_read_by
from tfkernels.training.graph.random_numbers import draws_of
from tfkernels.training.graph.sources import sources_of
from tfkernels.training.graph.updates import updates_of
from tfkernels.training.step_counts import counted_after_reading


def test_a_loss_has_terms_of_data_and_weights() -> None:
    graph = Graph()
    x, w = graph.placeholder("x"), graph.variable("w")
    error = graph.add("Mean", "Mean", [graph.add("MatMul", "MatMul", [x, w.read])])
    penalty = graph.add("L2Loss", "L2Loss", [w.read])
    loss = graph.add("Identity", "total", [graph.add("AddV2", "add", [error, penalty])])
    terms = terms_of(loss)
    assert (terms.data, terms.regularization) == ([error], [penalty])
    assert terms_of(error).data == [error]


def test_the_loss_is_found_from_names_of_gradients() -> None:
    graph = Graph()
    x, w = graph.placeholder("x"), graph.variable("w")
    error = graph.add("Mean", "net/Mean", [graph.add("MatMul", "MatMul", [x, w.read])])
    penalty = graph.add("Mul", "penalty", [w.read])
    loss = graph.add("AddV2", "add", [error, penalty])
    ones = graph.add("Fill", "train/gradients/Fill", [])
    of_error = graph.add("Reshape", "train/gradients/net/Mean_grad/Reshape", [ones])
    assert loss_of_gradients([of_error]) is error
    of_penalty = graph.add("Mul", "train/gradients/penalty_grad/Mul", [ones])
    assert loss_of_gradients([of_error, of_penalty]) is loss, "the gradient of a sum has no operation of its own"
    assert loss_of_gradients([graph.add("MatMul", "MatMul_1", [x])]) is None


def test_inputs_meet_weights_and_targets_do_not() -> None:
    graph = Graph()
    x, y, w = graph.placeholder("x"), graph.placeholder("y"), graph.variable("w")
    hidden = graph.add("MatMul", "MatMul", [graph.add("Cast", "Cast", [x]), w.read])
    error = graph.add("Sub", "sub", [hidden, y])
    found = sources_of([error])
    assert (found.inputs, found.targets) == ([x], [y])


@pytest.mark.parametrize("clip", [False, True])
def test_an_update_has_gradient_slots_and_rate(clip: bool) -> None:
    graph = Graph()
    w, m, v = (graph.variable(name) for name in ("net/w", "net/w/Adam", "net/w/Adam_1"))
    raw = given = graph.add("MatMul", "gradients/net/MatMul_grad/MatMul_1", [])
    if clip:
        scaled = graph.add("Mul", "clip_by_global_norm/mul_1", [raw, graph.add("Const", "Const", [])])
        given = graph.add("Identity", "clip_by_global_norm/_0", [scaled])
    rate, epsilon = graph.add("Const", "Adam/learning_rate", []), graph.add("Const", "Adam/epsilon", [])
    train = graph.apply("ApplyAdam", {"var": w.ref, "m": m.ref, "v": v.ref}, lr=rate, epsilon=epsilon, grad=given)
    (update,) = updates_of([train.op], ["net/w"])
    assert (update.weight, update.kind, update.slots) == ("net/w", "Adam", {"m": "net/w/Adam", "v": "net/w/Adam_1"})
    assert update.gradient is not None
    assert update.gradient.values is given
    assert (update.unclipped.values if update.unclipped else None) is (raw if clip else None)
    assert (update.learning_rate, update.settings["epsilon"]) == (rate, epsilon)


def test_an_optimizer_of_many_operations_has_a_gradient() -> None:
    graph = Graph()
    w, m, average = (graph.variable(name) for name in ("w", "w/adam_m", "w/ExponentialMovingAverage"))
    raw = graph.add("MatMul", "gradients/MatMul_grad/MatMul_1", [])
    moment = graph.add("AddV2", "add", [graph.add("Mul", "mul", [raw]), graph.add("Mul", "mul_1", [m.read])])
    after = graph.add("Sub", "sub", [w.read, graph.add("Mul", "mul_2", [moment])])
    changes = [graph.apply("Assign", {"ref": one.ref}, value=value) for one, value in ((w, after), (m, moment))]
    changes.append(graph.apply("AssignSub", {"ref": average.ref}, value=graph.add("Sub", "sub_1", [w.read])))
    (update,) = updates_of([change.op for change in changes], ["w"])
    assert (update.kind, update.slots) == ("", {"m": "w/adam_m"})
    assert update.gradient is not None
    assert update.gradient.values is raw


def test_reading_a_variable_is_no_change() -> None:
    graph = Graph()
    w, held = graph.variable("w"), graph.variable("held", resource=True)
    assert changed(graph.apply("AssignAddVariableOp", {"resource": held.ref}, value=w.read).op) == [held.ref.op]
    assert changed(graph.apply("AssignAdd", {"ref": w.ref}, value=w.read).op) == [w.ref.op]
    assert not changed(held.read.op)
    assert not changed(w.read.op)


def test_steps_are_counted_once_they_were_read() -> None:
    """Keras's first Adam, which counts while it reads, and the later one, which reads what was counted."""
    for resource in (False, True):
        graph = Graph()
        w, steps, later = (graph.variable(name, resource) for name in ("w", "iterations", "later"))
        rate = graph.add("Cast", "Cast", [steps.read]).op
        update = graph.apply("AssignAdd", {"ref": w.ref}, value=rate.outputs[0])
        count = graph.apply("AssignAdd", {"ref": steps.ref})
        counted_after_reading(steps.ref, [count, update])
        assert rate in count.op.control_inputs
        assert count.op not in update.op.control_inputs
        first = graph.apply("AssignAdd", {"ref": later.ref})
        then = graph.add("Cast", "Cast", [later.read], waits=[first.op])
        counted_after_reading(later.ref, [first, graph.apply("AssignAdd", {"ref": w.ref}, value=then)])
        assert then.op not in first.op.control_inputs


def test_memory_of_a_variable_is_recognised() -> None:
    graph = Graph()
    w = graph.variable("w")
    assert variable_read_by(graph.add("Reshape", "Reshape", [w.read])) is w.ref.op
    assert variable_read_by(graph.add("Mul", "mul", [w.read])) is None


def test_outputs_of_layers_leave_the_scope_of_weights() -> None:
    graph = Graph()
    x = graph.placeholder("x")
    w = graph.variable("rnn/cell/kernel")
    x = graph.add("MatMul", "rnn/while/MatMul", [x, w.read])
    x = graph.add("Exit", "rnn/while/Exit", [x])
    for name in ("dense", "logits"):
        w = graph.variable(f"{name}/kernel")
        x = graph.add("Relu", f"{name}/Relu", [graph.add("MatMul", f"{name}/MatMul", [x, w.read])])
    loss = graph.add("AddV2", "loss", [graph.add("Mean", "Mean", [x]), graph.add("L2Loss", "L2Loss", [w.read])])
    found = layer_outputs(loss, ["logits/kernel", "dense/kernel", "rnn/cell/kernel"])
    outputs = {"rnn": "rnn/while/Exit:0", "dense": "dense/Relu:0", "logits": "logits/Relu:0"}
    assert {name: tensor.name for name, tensor in found.items()} == outputs
    assert list(found) == list(outputs), "in the order of computation"


def test_random_numbers_are_named_after_their_layer() -> None:
    graph = Graph()
    drawn = [
        graph.add("RandomUniform", f"{name}/random_uniform/RandomUniform", [])
        for name in ("dropout", "fc1/dropout", "drop/cond/dropout", "dropout", "Dropout/dropout_1")
    ]
    drawn[3].fetchable = False
    found = draws_of(graph.add("AddN", "loss", drawn))
    assert list(found.by_name) == ["dropout", "fc1/dropout", "drop", "Dropout"]
    assert found.hidden == [drawn[3].op.name]


def test_random_numbers_of_another_trace_take_their_places() -> None:
    graph = Graph()
    one, two = (graph.add("RandomUniform", f"{name}/random_uniform/RandomUniform", []) for name in ("a", "b"))
    draws = draws_of(graph.add("AddN", "loss", [one, two]))
    numbers = {"other": np.zeros(2), "b": np.ones(2)}
    assert {tensor.name: value[0] for tensor, value in draws.replaced(numbers).items()} == {one.name: 0, two.name: 1}
    with pytest.raises(TraceError, match=r"a draws numbers of the shape .* \(b \(2,\)\)"):
        draws.replaced({"b": np.ones(2)})


def test_a_closure_is_in_order_and_ends_in_loops() -> None:
    graph = Graph()
    merge = graph.add("Merge", "Merge", [graph.placeholder("x")])
    step = graph.add("NextIteration", "NextIteration", [graph.add("Add", "Add", [merge])])
    merge.op.inputs.append(step)
    last = graph.add("Exit", "Exit", [merge], waits=[graph.add("NoOp", "NoOp", []).op])
    names = [operation.name for operation in closure([last.op])]
    assert names[-1] == "Exit"
    assert set(names) == {"x", "Merge", "Add", "NextIteration", "NoOp", "Exit"}
    assert names.index("x") < names.index("Merge")


def test_feeds_are_one_for_all_steps_or_each() -> None:
    assert [feed_of_step({"x": 1})(number) for number in (0, 1)] == [{"x": 1}] * 2
    following = feed_of_step({"x": number} for number in range(2))
    assert [following(0), following(1)] == [{"x": 0}, {"x": 1}]
    with pytest.raises(TraceError, match="nothing for step 3"):
        following(2)
    with pytest.raises(TraceError, match="got int"):
        feed_of_step(3)


def test_rows_of_a_sparse_gradient_are_added() -> None:
    found = step_record.dense((np.array([[1.0], [2.0], [4.0]]), np.array([2, 0, 2])), [3, 1])
    assert found.tolist() == [[2], [0], [5]]


def test_a_loss_that_is_no_scalar_is_summed() -> None:
    assert step_record.losses(np.array([1.0, 2.0]), [np.array([1.0, 2.0])], []) == {"loss": 3, "data": 3}
    assert step_record.losses(3.5, [1.0, 2.0], [0.25, 0.25]) == {"loss": 3.5, "data": 3, "regularization": 0.5}


@pytest.mark.parametrize(
    ("power", "beta", "step", "found"),
    [(0.9, 0.9, 7, 0), (0.9**201, np.float32(0.9), None, 200), (0.0, 0.9, 5000, 5000), (None, None, None, None)],
)
def test_the_iteration_comes_from_powers_of_beta(power: Any, beta: Any, step: Any, found: Any) -> None:
    assert step_record.iteration(power, beta, step) == found


def test_one_input_has_the_plain_name() -> None:
    x, keep = np.zeros((2, 3)), np.float32(0.5)
    assert list(step_record.sources_named({"x:0": x, "keep_prob:0": keep}, "input")) == ["input"]
    assert list(step_record.sources_named({"x:0": x, "next:1": x}, "input")) == ["input/x", "input/next:1"]
