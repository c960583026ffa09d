import dataclasses
import json

import pytest

from train.config import Config


def test_saved_config(tmp_path):
    assert Config.saved_in(tmp_path) is None
    config = Config(seed=3, num_mux=(1, 2), num_mux_weights=(0.5, 0.5))
    config.save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 3
    assert Config.saved_in(tmp_path) == config


@pytest.mark.parametrize(
    "content, reason",
    [
        ("", "Expecting value"),
        ("[]", "no attribute 'items'"),
        ('{"epochs": "many"}', "epochs is 'many'"),
        ('{"num_mux": 1.5}', "num_mux is 1.5"),
    ],
)
def test_a_damaged_config_is_named(tmp_path, content, reason):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=f"config.json is damaged: .*{reason}"):
        Config().check_same_run(tmp_path)


ELASTIC = {"num_mux": (1, 2)}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"ema": 1.0}, "--ema must be below 1. Received: 1.0"),
        ({"label_smoothing": 1.0}, "--label_smoothing must be below 1"),
        ({"random_erasing": 1.5}, "--random_erasing must be at most 1"),
        ({"teacher": "x", "teacher_weight": 0.0}, "--teacher_weight must be above 0"),
        ({"teacher": "x", "teacher_temperature": 0.0}, "--teacher_temperature must be"),
        (
            {**ELASTIC, "in_place_weight": 1.0, "in_place_temperature": 0.0},
            "--in_place_temperature must be above 0",
        ),
        ({"num_mux": (2, 4), "in_place_weight": 1.0}, "needs 1 among --num_mux"),
        ({"num_mux": (1, 1)}, "different ones such as 1,2,4. Received: 1,1"),
        ({"num_mux": ()}, "--num_mux must be one number, or"),
        (
            {**ELASTIC, "num_mux_weights": (0.0, 0.0)},
            "must be 2 numbers above 0.*Received: 0.0,0.0",
        ),
        ({**ELASTIC, "num_mux_weights": (1.0,)}, "must be 2 numbers above 0"),
        ({**ELASTIC, "model": "image_multiplexer"}, "--model=concatplexer"),
        ({"profile": "5"}, "must be START,STOP"),
        ({"profile": "9,5"}, "must be START,STOP"),
    ],
)
def test_settings_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        Config(**changes).check()


@pytest.mark.parametrize(
    "changes, needed",
    [
        ({"own_norm": True}, "several --num_mux, such as 1,2,4"),
        ({"num_mux_weights": (1.0, 2.0)}, "several --num_mux"),
        ({"in_place_weight": 1.0}, "several --num_mux"),
        ({**ELASTIC, "in_place_temperature": 4.0}, "--in_place_weight above 0"),
        ({"teacher_weight": 0.1}, "--teacher"),
        ({"teacher_temperature": 1.0}, "--teacher"),
        ({"model": "vit", "num_mux": 4}, "--model=concatplexer or"),
        ({"model": "vit", "reducer": "mean"}, "--model=concatplexer"),
        ({"transform": "holographic"}, "--model=image_multiplexer"),
        (
            {"attention_scope": "image", "shuffle_slots": True},
            "--attention_scope=group",
        ),
        ({"freeze_backbone": True}, "--init_from"),
        ({"init_from": "x", "size": "vit_b16"}, "no --init_from"),
        ({"dataset": "folder:x", "data_dir": "y"}, "a --dataset of TFDS"),
        ({"strategy": "one_device", "logical_cpus": 2}, "--strategy=mirrored or auto"),
    ],
)
def test_a_setting_that_the_run_would_not_use(changes, needed):
    with pytest.raises(ValueError, match=f"would not be used: it needs .*{needed}"):
        Config(**changes).check()


def test_a_given_default_that_the_run_would_not_use():
    Config(model="vit").check()
    with pytest.raises(ValueError, match="--num_mux=2 would not be used"):
        Config(model="vit").check(given=["num_mux"])


def test_profile_steps():
    assert Config().profile_steps() == 0
    assert Config(profile="10,20").profile_steps() == (10, 20)


def test_what_a_run_may_go_on_with(tmp_path):
    saved = Config(epochs=5, data_dir="a")
    assert saved.check_same_run(tmp_path) == []
    saved.save(tmp_path)
    assert saved.check_same_run(tmp_path) == []
    other = Config(epochs=6, data_dir="b", strategy="mirrored", learning_rate=1.0)
    assert other.check_same_run(tmp_path) == [
        ("data_dir", "a", "b"),
        ("epochs", 5, 6),
        ("learning_rate", 1e-3, 1.0),
        ("strategy", "auto", "mirrored"),
    ]
    with pytest.raises(ValueError, match=r"num_mux was 2, is \(1, 2\); seed was 0"):
        Config(seed=3, num_mux=(1, 2)).check_same_run(tmp_path)


def test_a_setting_that_is_newer_than_the_run(tmp_path):
    settings = dataclasses.asdict(Config())
    del settings["ema"]
    (tmp_path / "config.json").write_text(json.dumps(settings))
    Config().check_same_run(tmp_path)
    with pytest.raises(ValueError, match="ema was 0.0, is 0.5"):
        Config(ema=0.5).check_same_run(tmp_path)
