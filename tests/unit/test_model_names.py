"""Which layer and which weight is which, by names and shapes alone."""

from __future__ import annotations

from typing import Any

import pytest

from tfkernels.errors import WeightsError
from tfkernels.models.layer_names import renumbered
from tfkernels.models.load_report import LoadReport, Mismatch, Missing
from tfkernels.models.match import Match, match


def test_automatic_names_are_numbered_by_place() -> None:
    layers = [
        ("dense_7", "Dense"),
        ("logits", "Dense"),
        ("dense_9", "Dense"),
        ("conv2d", "Conv2D"),
        ("dense", "Conv2D"),
    ]
    assert renumbered(layers) == ["dense_1", "logits", "dense_2", "conv2d", "dense"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("model_3", "Model"), ("functional_5", "Functional"), ("model_1", "Functional")],
)
def test_automatic_names_are_equal_in_all_releases(name: str, kind: str) -> None:
    assert renumbered([(name, kind)]) == ["model"]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("max_pooling2d_4", "MaxPooling2D", "max_pooling2d"),
        ("global_average_pooling1d_1", "GlobalAveragePooling1D", "global_average_pooling1d"),
        ("private__block_2", "_Block", "__block"),
        ("__block_2", "_Block", "__block"),
        ("res_net50_block", "ResNet50Block", "res_net50_block"),
        ("batch_normalization_v1_3", "BatchNormalizationV1", "batch_normalization"),
        ("block_2", "Dense", "block_2"),
    ],
)
def test_automatic_names_as_keras_makes_them(name: str, kind: str, expected: str) -> None:
    assert renumbered([(name, kind)]) == [expected]


def found(targets: list[str], sources: list[str], **mapping: str) -> dict[str, tuple[str, str]]:
    """Weights of one shape, so that only names can tell them apart."""
    shape = (4, 4)
    result = match(dict.fromkeys(targets, shape), dict.fromkeys(sources, shape), mapping)
    return {pair.target: (pair.source, pair.how) for pair in result}


def test_equal_names() -> None:
    assert found(["a/kernel", "b/kernel"], ["b/kernel:0", "a/kernel"]) == {
        "a/kernel": ("a/kernel", "same name"),
        "b/kernel": ("b/kernel:0", "same name"),
    }


def test_cells_and_synonyms_are_spellings_of_one_name() -> None:
    targets = [
        "lstm/kernel",
        "lstm/recurrent_kernel",
        "out/kernel",
        "out/bias",
        "depthwise/kernel",
        "separable/depthwise_kernel",
        "separable/pointwise_kernel",
    ]
    sources = [
        "lstm/lstm_cell_3/kernel:0",
        "lstm/lstm_cell_3/recurrent_kernel:0",
        "out/W:0",
        "out/biases:0",
        "depthwise/depthwise_kernel:0",
        "separable/depthwise_weights:0",
        "separable/pointwise_weights:0",
    ]
    assert found(targets, sources) == {
        target: (source, "other spelling") for target, source in zip(targets, sources, strict=True)
    }


def test_one_may_have_scopes_in_front() -> None:
    assert found(
        ["conv1/kernel", "net/conv2/kernel"], ["model/net/conv1/weights", "conv2/weights", "conv3/weights"]
    ) == {
        "conv1/kernel": ("model/net/conv1/weights", "other scope"),
        "net/conv2/kernel": ("conv2/weights", "other scope"),
    }


def test_ambiguous_scopes_are_not_guessed() -> None:
    assert found(["conv1/kernel"], ["generator/conv1/kernel", "discriminator/conv1/kernel"]) == {}
    assert found(["conv1/kernel"], ["conv1/kernel", "net/conv1/kernel"]) == {
        "conv1/kernel": ("conv1/kernel", "same name")
    }


def test_a_name_without_a_layer_says_too_little() -> None:
    assert found(["kernel"], ["a/kernel", "b/kernel"]) == {}


def test_numbered_layers_match_in_order() -> None:
    assert found(["dense/kernel", "dense_1/kernel"], ["net/dense_12/kernel", "net/dense_4/kernel"]) == {
        "dense/kernel": ("net/dense_4/kernel", "same place"),
        "dense_1/kernel": ("net/dense_12/kernel", "same place"),
    }


def test_unequal_counts_are_not_guessed() -> None:
    assert found(["dense/kernel", "dense_1/kernel"], ["dense_2/kernel", "dense_3/kernel", "dense_4/kernel"]) == {}


def test_contradicting_names_and_places_are_not_guessed() -> None:
    assert found(["dense/kernel", "dense_1/kernel"], ["dense_1/kernel", "dense_2/kernel"]) == {}


def test_a_mapping_comes_first_and_decides() -> None:
    targets, sources = ["dense/kernel", "dense_1/kernel"], ["dense_1/kernel", "dense_2/kernel"]
    assert found(targets, sources, **{"dense/kernel": "dense_1/kernel"}) == {
        "dense/kernel": ("dense_1/kernel", "mapping"),
        "dense_1/kernel": ("dense_2/kernel", "same place"),
    }


@pytest.mark.parametrize("mapping", [{"a/kernl": "b/kernel"}, {"a/kernel": "b/kernl"}])
def test_unknown_names_in_mappings_suggest_the_nearest(mapping: dict[str, str]) -> None:
    with pytest.raises(WeightsError, match=r"[ab]/kernl.*Did you mean [ab]/kernel"):
        found(["a/kernel"], ["b/kernel"], **mapping)


@pytest.mark.parametrize("names", [({0: (4,)}, {}, {}), ({}, {0: (4,)}, {}), ({}, {}, {"a": 0}), ({}, {}, {b"a": "a"})])
def test_names_are_text(names: tuple[Any, Any, Any]) -> None:
    with pytest.raises(WeightsError, match=r"names of weights are text.*(0 is a int|b'a' is a bytes)"):
        match(*names)


def test_the_only_one_of_its_shape() -> None:
    targets = {"a/kernel": (3, 3), "b/kernel": (2, 2), "c/kernel": (2, 2)}
    sources = {"x/weights": (3, 3), "y/weights": (2, 2), "z/weights": (2, 2)}
    assert [pair[:2] for pair in match(targets, sources, {})] == [("a/kernel", "x/weights")]
    assert match({"a/kernel": (3,)}, {"x/bias": (3,)}, {}) == [], "a bias is no kernel"


def test_same_name_with_another_shape_is_taken() -> None:
    assert [pair[:2] for pair in match({"a/kernel": (2,), "b/kernel": (3,)}, {"a/kernel": (3,)}, {})] == [
        ("a/kernel", "a/kernel")
    ]


def test_the_report_says_what_needs_attention_first() -> None:
    report = LoadReport(
        matched=(Match("a", "a", "same name", (2,)),),
        held=(),
        mismatched=(Mismatch("b", "b", (2,), (3,), "why <b>"),),
        missing=(Missing("c", (4,), ("x", "y", "z", "<u>")),),
        unused=("x",),
    )
    assert not report.complete
    first, *rows = repr(report).splitlines()
    assert first == (
        "1 of 3 weights have a source that fits, 1 a source that does not fit, 1 none, 1 of the source is left over"
    )
    assert [row.split()[0] for row in rows] == ["b", "c", "-", "a"]
    assert "of its shape: x, y, z and 1 more" in rows[1]
    assert "why &lt;b&gt;" in report._repr_html_()
    assert "<b>" not in report._repr_html_()
