import dataclasses

import pytest

import keras_concatplexer as kcp
from benchmarks.accuracy.frontier_rows import (
    DATASETS,
    PROTOCOLS,
    SHARED,
    TEACHER,
    chosen_rows,
)
from train.config import Config

ROWS = [(name, row) for name, protocol in PROTOCOLS.items() for row in protocol.rows]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_result_has_one_name(name):
    rows = PROTOCOLS[name].rows
    names = [found for row in (TEACHER, *rows) for found, _ in row.results]
    assert len(set(names)) == len(names)


def test_all_settings_are_those_of_the_training_command():
    known = {field.name for field in dataclasses.fields(Config)}
    for name, row in ROWS:
        settings = {**SHARED, **PROTOCOLS[name].recipe, **row.recipe, **row.model}
        assert settings.keys() <= known


def test_the_plain_alternatives_cost_less_and_can_be_built():
    for dataset in DATASETS.values():
        size = kcp.vit.SIZES[dataset.size]
        sizes = {row.name: row.size(size) for row in PROTOCOLS["A"].rows}
        height = dataset.image_shape[0]
        assert all(height % found.patch_size == 0 for found in sizes.values())
        assert all(f.hidden_dim % f.num_heads == 0 for f in sizes.values())
        assert sizes["4 of 6 blocks"].num_layers == 4
        assert sizes["3 of 6 blocks"].num_layers == 3
        assert sizes["narrow"].hidden_dim < size.hidden_dim
        assert sizes["coarse"].patch_size == 2 * size.patch_size
        assert sizes["concat n2 image, depth 3"] == size


def test_rows_of_a_protocol_see_as_many_images():
    for name, row in ROWS:
        allowed = {"learning_rate", "teacher_feature_weight"}
        assert row.recipe.keys() <= allowed, (name, row.name)
    assert PROTOCOLS["A"].num_epochs(49_000) == 10
    assert PROTOCOLS["B"].num_epochs(49_000) * 49_000 >= 1_000_000
    assert PROTOCOLS["B"].num_epochs(2_000_000) == 1


@pytest.mark.large
def test_wide_backbones_spend_what_the_reduction_saves():
    data, rows = DATASETS["cifar10"], {r.name: r for r in PROTOCOLS["B"].rows}
    size = kcp.vit.SIZES[data.size]

    def vit_of(size):
        return kcp.vit.keras_cv_vit(size, data.image_shape, data.num_classes)

    whole = kcp.flops.count(vit_of(size)).gmacs_per_image
    for name, share in (
        ("concat n2 image, depth 2, width 180", 1),
        ("concat n4 image, depth 2, width 252", 1),
        ("concat n4 image, depth 2, width 176", 2 / 3),
    ):
        settings = {**rows[name].model, "backbone": vit_of(rows[name].backbone(size))}
        del settings["model"]
        cost = kcp.flops.count(kcp.ConcatPlexer(vit_of(size), **settings))
        assert cost.gmacs_per_image == pytest.approx(share * whole, rel=0.02), name


def test_all_of_protocol_a_has_the_teacher():
    for row in PROTOCOLS["A"].rows:
        assert row.distilled or not row.trained
        assert row.inherits or row.family == "smaller ViT"
    assert not any(row.inherits for row in PROTOCOLS["B"].rows)


def test_rows_are_chosen_by_name():
    protocol = PROTOCOLS["A"]
    assert chosen_rows(protocol, []) == list(protocol.rows)
    assert [row.name for row in chosen_rows(protocol, ["ToMe n2"])] == ["ToMe n2"]
    with pytest.raises(ValueError, match="no row 'tome'. Expected some of: vit; 4 of"):
        chosen_rows(protocol, ["tome"])
