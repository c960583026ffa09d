import dataclasses
import json

import pytest
from absl import flags

from train.config import Config
from train.config_flags import config_from_flags, define_flags


def parse(*arguments):
    values = flags.FlagValues()
    define_flags(values)
    values(["train", *arguments])
    return config_from_flags(values)


def test_flags_give_the_config():
    assert parse() == Config()
    config = parse("--num_mux=4", "--learning_rate=0.1", "--attention_scope=image")
    expected = Config(num_mux=4, learning_rate=0.1, attention_scope="image")
    assert config == expected


def test_several_numbers():
    config = parse("--num_mux=1,2,4", "--num_mux_weights=0.5,0.25,0.25")
    assert config.num_mux == (1, 2, 4)
    assert config.num_mux_weights == (0.5, 0.25, 0.25)
    config.check()
    assert parse("--num_mux_weights=").num_mux_weights == ()


def test_every_flag_has_help():
    values = flags.FlagValues()
    define_flags(values)
    help_text = values.get_help()
    for field in dataclasses.fields(Config):
        assert f"--{field.name}" in help_text or f"--[no]{field.name}" in help_text
        assert len(field.metadata["help"]) > 10


def test_saved_config(tmp_path):
    config = Config(seed=3)
    config.save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 3


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--size=vit_xxl", "vit_nano4"),
        ("--model=resnet", "concatplexer"),
        ("--num_mux=0", "0 must be 1 or greater"),
        ("--num_mux=1,two", "'two' is not a number, or several"),
        ("--num_mux_weights=1,-1", "-1 must be 0 or greater"),
        ("--epochs=many", "epochs"),
        ("--attention_scope=all", "group"),
    ],
)
def test_bad_values_name_the_good_ones(argument, message):
    with pytest.raises(flags.IllegalFlagValueError, match=message):
        parse(argument)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"ema": 1.0}, "--ema must be below 1. Received: 1.0"),
        ({"label_smoothing": 1.0}, "--label_smoothing must be below 1"),
        ({"random_erasing": 1.5}, "--random_erasing must be at most 1"),
        ({"distillation_weight": 0.0}, "--distillation_weight must be above 0"),
        ({"distillation_temperature": 0.0}, "--distillation_temperature must be"),
        ({"own_norm": True}, "--own_norm is for elastic models: give several"),
        ({"num_mux_weights": (1.0, 2.0)}, "--num_mux_weights is for elastic"),
        ({"num_mux": (1, 2), "model": "image_multiplexer"}, "--model=concatplexer"),
        ({"profile": "5"}, "must be START,STOP"),
        ({"profile": "9,5"}, "must be START,STOP"),
    ],
)
def test_settings_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        Config(**changes).check()


def test_profile_steps():
    assert Config().profile_steps() == 0
    assert Config(profile="10,20").profile_steps() == (10, 20)


def test_what_a_run_may_go_on_with(tmp_path):
    saved = Config(epochs=5, data_dir="a")
    saved.check_same_run(tmp_path)
    saved.save(tmp_path)
    saved.check_same_run(tmp_path)
    Config(epochs=6, data_dir="b", strategy="mirrored").check_same_run(tmp_path)
    with pytest.raises(ValueError, match="epochs was 5, is 4"):
        Config(epochs=4).check_same_run(tmp_path)
    with pytest.raises(ValueError, match="num_mux was 2, is 4; epochs was 5, is 3"):
        Config(epochs=3, num_mux=4).check_same_run(tmp_path)


def test_several_numbers_are_saved(tmp_path):
    Config(num_mux=(1, 2)).save(tmp_path)
    Config(num_mux=(1, 2)).check_same_run(tmp_path)
    with pytest.raises(ValueError, match=r"num_mux was \(1, 2\), is 2"):
        Config(num_mux=2).check_same_run(tmp_path)


def test_a_setting_that_is_newer_than_the_run(tmp_path):
    settings = dataclasses.asdict(Config())
    del settings["ema"]
    (tmp_path / "config.json").write_text(json.dumps(settings))
    Config().check_same_run(tmp_path)
    with pytest.raises(ValueError, match="ema was 0.0, is 0.5"):
        Config(ema=0.5).check_same_run(tmp_path)
