import dataclasses
import json

import pytest
from absl import flags

from train.config import Config, config_from_flags, define_flags


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
        ("--num_mux=0", "equal to or greater than|positive|lower"),
        ("--epochs=many", "epochs"),
        ("--attention_scope=all", "group"),
    ],
)
def test_bad_values_name_the_good_ones(argument, message):
    with pytest.raises(flags.IllegalFlagValueError, match=message):
        parse(argument)
