"""No text, however broken, reaches LightGBM's parser; every sound one does."""

from __future__ import annotations

import re
import sys

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_audience.errors import ModelFormatError, ResourceError
from fed_audience.gbdt.bins import Feature, NumericBins
from fed_audience.gbdt.models.model import Model, to_text
from fed_audience.gbdt.models.reader import load_booster, read_model
from fed_audience.gbdt.tree import NodeSums, Split, Tree
from tests.gbdt.models.fuzz_reader import LIGHTGBM, broken_text, fuzz, grown, lightgbm_text, resized

TEXT = to_text(grown(3))


def test_an_untouched_text_is_read_whole() -> None:
    model = read_model(TEXT)
    assert model.features == ("age", "basket", "region")
    assert [tree.depth for tree in model.trees] == [3, 3, 3]
    assert model.objective == "binary sigmoid:1"
    assert model.body == TEXT
    assert resized(TEXT) == TEXT


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("version=v4", "version=v3", "version=v4"),
        ("num_class=1", "num_class=0", "num_class out of range"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=2", "unexpected line"),
        ("max_feature_idx=2", "max_feature_idx=3", "feature names"),
        ("max_feature_idx=2", "max_feature_idx=2147483647", "out of range"),
        ("sigmoid:1", "sigmoid:-1", "objective"),
        ("objective=binary sigmoid:1", "objective=lambdarank", "objective not supported"),
        ("age basket", "age age", "repeated"),
        ("age basket", "age  basket", "feature names"),
        ("age basket", "a=e basket", "feature names"),
        ("[-1.5:7.0]", "[-1.5:x]", "malformed feature info"),
        ("num_leaves=8", "num_leaves=9", "wrong number of values in split_feature"),
        ("num_leaves=8", "num_leaves=999999999", "num_leaves out of range"),
        ("num_leaves=8", "num_leaves=0x8", "not a list of numbers"),
        ("num_leaves=8", "num_leaves=٨", "not a list of numbers"),
        ("left_child=1 3", "left_child=1 1", "child of two nodes"),
        ("left_child=1 3", "left_child=1 7", "left_child out of range"),
        ("left_child=1 3", "left_child=0 3", "child of two nodes"),
        ("left_child=1 3 5 -1", "left_child=1 -1 5 3", "the root does not reach"),
        ("right_child=2 4 6 -2", "right_child=2 4 6 -9", "right_child out of range"),
        ("decision_type=", "decision_type=12 ", "wrong number"),
        ("leaf_count=1 1", "leaf_count=1 2", "not the sum"),
        ("leaf_count=1 1", "leaf_count=1 -1", "leaf_count out of range"),
        ("internal_count=8 4", "internal_count=8 5", "not the sum"),
        ("cat_boundaries=0 2", "cat_boundaries=0 0", "cat_boundaries"),
        ("cat_boundaries=0 2", "cat_boundaries=0 999999999", "cat_boundaries"),
        ("leaf_weight=0 0", "leaf_weight=0 1e999", "too large for a double"),
        ("leaf_weight=0 0", "leaf_weight=0 nan", "not a list of numbers"),
        ("leaf_weight=0 0", "leaf_weight=0 1_0", "not a list of numbers"),
        ("leaf_weight=0 0", "leaf_weight=0  0", "not a list of numbers"),
        ("is_linear=0", "is_linear=1", "is_linear=0"),
        ("Tree=1", "Tree=2", "Tree=1"),
        ("end of trees\n", "", "end of trees"),
        ("shrinkage=1", "shrinkage=1\0", "does not print"),
        ("tree\n", "tree\r\n", "does not print"),
        ("end of trees\n", "end of trees\npandas_categorical:[[1]]\n", "after the trees"),
    ],
)
def test_a_broken_text_is_refused_in_words(old: str, new: str, complaint: str) -> None:
    assert old in TEXT
    with pytest.raises(ModelFormatError, match=complaint) as error:
        read_model(resized(TEXT.replace(old, new, 1)))
    assert "line" in str(error.value)


def test_a_split_must_fit_the_kind_of_its_feature() -> None:
    text = TEXT.replace("0:1:2:", "[0:1] ", 1).split("\n")
    infos = next(n for n, line in enumerate(text) if line.startswith("feature_infos="))
    text[infos] = "feature_infos=[-1.5:7.0] [0.001:0.001] [0.0:49.0]"
    with pytest.raises(ModelFormatError, match="kind of its feature"):
        read_model("\n".join(text))


def test_a_feature_has_one_kind_in_all_trees() -> None:
    unknown = re.sub(r"feature_infos=.*", "feature_infos=none none none", TEXT)
    assert read_model(unknown).feature_infos == ("none",) * 3
    second = unknown.index("split_feature", unknown.index("Tree=1"))
    swapped = {"0": "2", "2": "0"}
    line = unknown[second : unknown.index("\n", second)]
    turned = re.sub("[02]", lambda found: swapped[found[0]], line)
    with pytest.raises(ModelFormatError, match="kind of its feature"):
        read_model(unknown[:second] + unknown[second:].replace(line, turned, 1))


@pytest.mark.parametrize("value", ["1e101", "-1e308"])
def test_a_leaf_so_large_that_sums_could_overflow_is_refused(value: str) -> None:
    with pytest.raises(ModelFormatError, match="leaf_value larger than any score"):
        read_model(resized(re.sub(r"leaf_value=\S+", f"leaf_value={value}", TEXT, count=1)))


@pytest.mark.parametrize("change", [-1, 1, 10**6])
def test_wrong_tree_sizes_are_refused(change: int) -> None:
    size = next(x for x in TEXT.split("\n") if x.startswith("tree_sizes="))[11:].split(" ")[0]
    with pytest.raises(ModelFormatError, match="tree_sizes contradicts tree 0"):
        read_model(TEXT.replace(f"tree_sizes={size}", f"tree_sizes={int(size) + change}"))


def test_a_chain_deeper_than_the_limit_is_refused_and_a_long_one_is_read() -> None:
    def chain(nodes: int) -> str:
        zero = NodeSums(0, 1)
        tree = Tree(
            splits=(Split(0, 1.0, bin=0),) * nodes,
            left=tuple(-n - 1 for n in range(nodes)),
            right=(*range(1, nodes), -nodes - 1),
            leaf_values=(0.5,) * (nodes + 1),
            internal_sums=(zero,) * nodes,
            leaf_sums=(zero,) * (nodes + 1),
        )
        return to_text(Model((Feature("x"),), (NumericBins((1.0,)),), (tree,), (0.0,), 0.1))

    booster = load_booster(chain(1_024))
    assert booster.predict(np.array([[2.0]]), pred_contrib=True).sum() == pytest.approx(0.5)
    with pytest.raises(ModelFormatError, match="too deep"):
        read_model(chain(1_025))


@pytest.mark.parametrize("name", LIGHTGBM)
def test_lightgbms_own_models_are_read(name: str) -> None:
    text = lightgbm_text(name)
    values = np.random.default_rng(3).normal(size=(200, 4))
    values[:, 3] = np.arange(200) % 70
    values[::7] = np.nan
    theirs = lightgbm.Booster(model_str=text).predict(values)
    np.testing.assert_array_equal(load_booster(text).predict(values), theirs)


def test_linear_trees_are_refused() -> None:
    values = np.random.default_rng(0).normal(size=(500, 2))
    parameters = {"objective": "regression", "linear_tree": True, "verbose": -1}
    data = lightgbm.Dataset(values, values[:, 0], params=parameters)
    text = lightgbm.train(parameters, data, 2).model_to_string()
    with pytest.raises(ModelFormatError, match="is_linear"):
        read_model(text)


def test_mutated_texts_are_refused_or_load() -> None:
    outcome = fuzz(4_000)
    assert not outcome.problems
    assert outcome.loaded > 200, "the mutations must also find texts that are sound"
    assert len(outcome.refusals) > 50, "the mutations must reach most of the checks"


def test_an_input_of_the_fuzzer_can_be_made_again() -> None:
    assert broken_text(0, 17) == broken_text(0, 17) != broken_text(1, 17)


@given(
    st.text(max_size=300) | st.lists(st.sampled_from(TEXT.split("\n")), max_size=40).map("\n".join)
)
@settings(max_examples=300)
def test_any_text_at_all_ends_in_a_refusal(text: str) -> None:
    with pytest.raises(ModelFormatError):
        read_model(text)


def test_a_missing_openmp_library_says_how_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "lightgbm":
                raise OSError("libgomp.so.1: cannot open shared object file: No such file")

    monkeypatch.delitem(sys.modules, "lightgbm")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ResourceError, match="apt-get install -y libgomp1"):
        load_booster(TEXT)
