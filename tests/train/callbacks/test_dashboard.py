import re

from tensorboard.plugins.custom_scalar import layout_pb2

import keras_concatplexer as kcp
from train.callbacks.dashboard import (
    HPARAMS,
    METRICS,
    describe,
    hparams_of,
    hparams_shown,
    layout,
    settings_table,
)
from train.callbacks.tensorboard import tag_of
from train.config import Config


def test_a_column_has_one_type():
    rows = [hparams_of(Config()), hparams_of(Config(num_mux=(1, 2, 4)))]
    assert [row["num_mux"] for row in rows] == ["2", "1,2,4"]
    for row in rows:
        assert set(row) <= set(HPARAMS)
        assert all(isinstance(value, str | int | float) for value in row.values())


def test_settings_that_a_run_does_not_use_are_no_hparams():
    row = hparams_of(Config(model="vit", init_from="/some/where/vit"))
    assert row["init_from"] == "vit"
    assert not {"num_mux", "attention_scope", "reducer", "size"} & row.keys()


def test_the_columns_are_few_and_have_names():
    shown = hparams_shown()
    assert len(shown["hparams"]) == 10
    assert [metric.as_proto().display_name for metric in shown["metrics"]] == list(
        METRICS.values()
    )


def charts_of(config):
    (value,) = layout(config).value
    found = layout_pb2.Layout.FromString(value.tensor.string_val[0])
    return {chart.title: chart.multiline.tag for chart in found.category[0].chart}


def test_training_and_validation_share_a_chart():
    first = charts_of(Config())["loss"]
    both = [tag_of("loss"), tag_of("val_loss")]
    assert all(any(re.search(tag, name) for tag in first) for name in both)


def test_each_chart_has_data():
    slots, each = "validation accuracy of each slot", "validation accuracy at each N"
    assert set(charts_of(Config(model="vit"))) == {"loss", "accuracy"}
    assert set(charts_of(Config())) == {"loss", "accuracy", slots}
    assert set(charts_of(Config(num_mux=(1, 2)))) == {"loss", "accuracy", slots, each}
    features = Config(num_mux=(1, 2), objective="features", init_from="run")
    assert set(charts_of(features)) == {"loss", "cosine", "validation cosine at each N"}


def test_settings_are_a_table_with_the_changed_ones_in_bold():
    lines = settings_table(Config(seed=5, num_mux=(1, 2))).splitlines()
    assert lines[:2] == ["| setting | value |", "|---|---|"]
    assert "| **seed** | `5` |" in lines and "| **num_mux** | `(1, 2)` |" in lines
    assert "| dataset | `digits` |" in lines


def test_a_model_is_two_tables(same_vit):
    model = kcp.ElasticConcatPlexer(same_vit, num_mux=(1, 2))
    cost = kcp.flops.count(model)
    text = describe(model, cost)
    for stage in cost.stages:
        assert f"| {stage} | " in text
    assert f"**{model.count_params():,}**" in text
    assert all(line.startswith("|") for line in text.splitlines() if line)
