"""Inputs and outputs of graphs without signatures, found by what depends on what."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfkernels.conversion.graphs.default_signature import find, with_signatures
from tfkernels.conversion.graphs.graph_file import GraphFile, Signature, check_frozen
from tfkernels.conversion.graphs.known_conditions import decide
from tfkernels.conversion.graphs.nodes import by_name, needed
from tfkernels.conversion.graphs.outside_access import check, unknown
from tfkernels.conversion.graphs.restored_values import _slice
from tfkernels.conversion.graphs.traced_tensors import traced
from tfkernels.errors import ConversionError

FLOAT = 1


def graph(text: str) -> dict[str, Any]:
    """Nodes from lines ``name: Op input input``. A placeholder has two axes, or none if its name ends in ``scalar``."""
    nodes = []
    for line in text.split("\n"):
        if line.strip():
            name, op, *inputs = line.replace(":", " ", 1).split()
            axes = [] if name.endswith("scalar") else [None, 4]
            shape = SimpleNamespace(dim=axes, unknown_rank=False)
            attr = {"shape": SimpleNamespace(shape=shape), "T": SimpleNamespace(type=FLOAT)}
            nodes.append(SimpleNamespace(name=name, op=op, input=inputs, attr=attr))
    return by_name(SimpleNamespace(node=nodes))


TRAINED = graph("""
x: Placeholder
labels: Placeholder
keep_scalar: Placeholder
w: VariableV2
w/read: Identity w
net/h: MatMul x w/read
net/drop: Div net/h keep_scalar
net/relu: Relu net/drop
net/probabilities: Softmax net/relu
net/classes: ArgMax net/relu
loss/sub: Sub net/relu labels
loss: Mean loss/sub
l2: L2Loss w/read
total: AddN loss l2
gradients/total: Mul total x
mean: VariableV2
mean/read: Identity mean
moments: Mean net/h
mean/sub: Sub mean/read moments
mean/update: AssignSub mean mean/sub
train: ApplyGradientDescent w gradients/total
settings: Const ^mean/update
summary: ScalarSummary net/relu
step: VariableV2
step/add: AssignAdd step
""")


def test_outputs_need_weights_and_no_labels() -> None:
    assert find(TRAINED) == Signature(
        {"x": "x:0", "keep_scalar": "keep_scalar:0"},
        {"probabilities": "net/probabilities:0", "classes": "net/classes:0"},
    )


def test_constants_of_a_frozen_graph_are_weights() -> None:
    frozen = graph("""
    x: Placeholder
    c: Const
    w: Const
    w/read: Identity w
    scaled: Mul x c
    y: MatMul scaled w/read
    z: Add scaled c
    """)
    assert find(frozen) == Signature({"x": "x:0"}, {"y": "y:0"})


def test_a_loop_has_no_first_node_but_an_order() -> None:
    looped = graph("""
    x: Placeholder
    w: VarHandleOp
    w/Read: ReadVariableOp w
    h: MatMul x w/Read
    enter: Enter h
    merge: Merge enter next
    switch: Switch merge
    body: Relu switch
    next: NextIteration body
    exit: Exit switch
    y: Relu exit
    """)
    found = find(looped)
    assert found.outputs == {"y": "y:0"}
    assert traced(looped, found) == ["h:0", "exit:0", "y:0"], "a session cannot fetch what is inside"


def file(nodes: dict[str, Any], signatures: dict[str, Signature] | None = None) -> GraphFile:
    definition = SimpleNamespace(node=list(nodes.values()))
    return GraphFile("model.pb", "frozen-graph", definition, None, signatures or {}, (), (), None)


class Definition:
    """What is used of a GraphDef."""

    def __init__(self, nodes: Any = ()) -> None:
        self.node = list(nodes)

    def CopyFrom(self, other: Definition) -> None:  # noqa: N802 (protobuf's name)
        self.node = [SimpleNamespace(**{**vars(node), "input": list(node.input)}) for node in other.node]


CONDITION = """
x: Placeholder
training: Placeholder
w: VariableV2
not: LogicalNot training
pred: Identity not
in: RefSwitch w pred
pivot: Identity in:1 ^pred
yes: MatMul x in:1
no/half: Const ^in
no: Mul in:0 x
merge: Merge no yes
y: Relu merge
"""


@pytest.mark.parametrize(("training", "kept"), [(False, {"yes", "w"}), (True, {"no", "w"})])
def test_only_the_branch_that_runs_is_kept(training: bool, kept: set[str]) -> None:
    decided = decide(Definition(graph(CONDITION).values()), {"training": training}, None)
    nodes = by_name(decided.graph_def)
    assert needed(nodes, ["y"]) == {"x", "y", *kept}
    assert decided.name("merge").split(":0")[0] in kept
    assert decided.name("y:0") == "y:0"


def test_conditions_on_inputs_stay() -> None:
    given = Definition(graph(CONDITION).values())
    assert decide(given, {}, None).graph_def is given


def test_the_users_outputs_win() -> None:
    own = {"serving_default": Signature({"x": "x:0"}, {"y": "y:0"})}
    assert with_signatures(file(TRAINED, own)).signatures == own
    named = with_signatures(file(TRAINED, own), ["net/relu", "loss:0"]).signatures["serving_default"]
    assert named.outputs == {"relu": "net/relu:0", "loss": "loss:0"}
    assert set(named.inputs) == {"x", "labels", "keep_scalar"}
    with pytest.raises(ConversionError, match=r"no such node. Did you mean net/relu\?"):
        with_signatures(file(TRAINED), ["relu"])
    with pytest.raises(ConversionError, match="Name them with --outputs"):
        with_signatures(file(graph("x: Placeholder\ny: Relu x")))


def test_nodes_in_front_of_an_input_are_not_needed() -> None:
    nodes = graph("a: Placeholder\nb: Relu a\nc: Relu b ^d\nd: NoOp")
    assert needed(nodes, ["c"]) == {"a", "b", "c", "d"}
    assert needed(nodes, ["c"], ["b"]) == {"b", "c", "d"}


def test_nodes_that_reach_outside_are_refused() -> None:
    nodes = graph("x: Placeholder\nfile: WriteFile x x\ny: Special x\nz: own x")
    for node in nodes.values():
        node.attr = {}
    inner = SimpleNamespace(name="n", op="PyFunc", attr={})
    inside = SimpleNamespace(signature=SimpleNamespace(name="own"), node_def=[inner], attr={})
    caller = SimpleNamespace(func=SimpleNamespace(name="own"), HasField="func".__eq__, list=SimpleNamespace(func=[]))

    def library(*functions: Any, gradient: tuple[Any, ...] = ()) -> Any:
        return SimpleNamespace(function=functions, gradient=gradient)

    with pytest.raises(ConversionError, match=r"its node file \(WriteFile\) reaches outside.*--trust"):
        check(nodes.values(), library(), "model.pb")
    with pytest.raises(ConversionError, match=r"its node n \(PyFunc\)"):
        check([nodes["z"]], library(inside), "model.pb")
    with pytest.raises(ConversionError, match=r"its node n \(PyFunc\)"):
        check([SimpleNamespace(name="f", op="Call", attr={"f": caller})], library(inside), "model.pb")
    other = SimpleNamespace(name="m", op="WriteFile", attr={})
    second = SimpleNamespace(signature=SimpleNamespace(name="other"), node_def=[other], attr={})
    another = SimpleNamespace(**{**vars(caller), "func": SimpleNamespace(name="other")})
    for attributes in ({"f": caller, "g": another}, {"g": another, "f": caller}):
        with pytest.raises(ConversionError, match=r"its node m"):  # whatever the order of a hash table
            check([SimpleNamespace(name="f", op="Call", attr=attributes)], library(inside, second), "model.pb")
    with pytest.raises(ConversionError, match=r"its node n \(PyFunc\)"):
        check([], library(inside), "model.pb", ["own"])
    forward = SimpleNamespace(signature=SimpleNamespace(name="forward"), node_def=[], attr={})
    backward = SimpleNamespace(function_name="forward", gradient_func="own")
    with pytest.raises(ConversionError, match=r"its node n \(PyFunc\)"):
        check([], library(forward, inside, gradient=(backward,)), "model.pb", ["forward"])
    check([nodes["x"]], library(inside), "model.pb")  # nothing calls it, as the function that saves a SavedModel
    inside.attr["api_implements"] = "TensorFlow chooses one of all functions with this attribute"
    with pytest.raises(ConversionError, match=r"its node n \(PyFunc\)"):
        check([nodes["x"]], library(inside), "model.pb")
    known = {"Placeholder": 1, "WriteFile": 1, "PyFunc": 1}
    assert unknown(nodes.values(), [inside], known.get) == {"Special"}


@pytest.mark.parametrize(
    "op", ["RestoreV2", "QueueDequeueV2", "MapDataset", "IteratorGetNext", "Print", "__inference_save_7"]
)
def test_what_graphs_need_themselves_needs_no_trust(op: str) -> None:
    check([SimpleNamespace(name="n", op=op, attr={})], SimpleNamespace(function=[], gradient=[]), "model.pb")


def test_parts_of_divided_variables_are_cut_out() -> None:
    whole = np.arange(40).reshape(10, 4)
    assert np.array_equal(_slice(whole, "10 4 5,5:0,4"), whole[5:])
    assert np.array_equal(_slice(whole, "10 4 -:1,2"), whole[:, 1:3])
    assert np.array_equal(_slice(whole, ""), whole)


def test_what_loaders_run_is_known() -> None:
    def nodes_of(name: str) -> Any:
        return SimpleNamespace(node_list=SimpleNamespace(value=[name]))

    meta = SimpleNamespace(
        saver_def=SimpleNamespace(restore_op_name="save/restore_all"),
        signature_def={"__saved_model_init_op": SimpleNamespace(outputs={"init": SimpleNamespace(name="init:0")})},
        collection_def={"table_initializer": nodes_of("table"), "saved_model_main_op": nodes_of("main")},
    )
    file = GraphFile("m", "saved-model", None, meta, {}, (), (), None)
    assert file.run_when_loaded() == ["save/restore_all", "init:0", "main", "table"]
    assert not file._replace(meta_graph=None).run_when_loaded()


def test_conditions_that_were_frozen_by_halves_are_refused() -> None:
    nodes = graph("""
        x: Placeholder
        gamma: Const
        cond: If x gamma
    """)
    tin = SimpleNamespace(type=[FLOAT])
    nodes["cond"].attr["Tin"] = SimpleNamespace(list=tin)
    whole = SimpleNamespace(node=list(nodes.values()))
    check_frozen("frozen.pb", whole)
    tin.type[0] = 20
    with pytest.raises(ConversionError, match="condition cond wants the variable gamma") as caught:
        check_frozen("frozen.pb", whole)
    assert caught.value.layer == "cond"
