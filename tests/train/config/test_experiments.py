import dataclasses
import inspect

import pytest
from absl import flags

from train.config import Config
from train.config.experiments import EXPERIMENTS
from train.config.flags import config_from_flags, define_flags


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_are_valid_settings_with_a_command(name):
    config = EXPERIMENTS[name]()
    config.check()
    for field in dataclasses.fields(Config):
        choices = field.metadata["choices"]
        assert choices is None or getattr(config, field.name) in choices
        assert isinstance(getattr(config, field.name), field.type)
    text = inspect.getdoc(EXPERIMENTS[name])
    assert f"--experiment={name}" in text
    assert "Result: " in text


def test_flags_change_an_experiment():
    values = flags.FlagValues()
    define_flags(values)
    values(["train", "--epochs=3", "--ema=0.5"])
    base = EXPERIMENTS["imagenet_b16"]()
    config = config_from_flags(values, base)
    assert config == dataclasses.replace(base, epochs=3, ema=0.5)
