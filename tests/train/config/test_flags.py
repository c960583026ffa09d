import dataclasses
import pathlib
import subprocess
import sys

import pytest
from absl import flags

import keras_concatplexer as kcp
from train.config import Config
from train.config.flags import config_from_flags, define_flags, given_settings
from train.config.settings import TOPICS


@pytest.fixture
def values():
    values = flags.FlagValues()
    define_flags(values)
    return values


def parse(values, *arguments):
    values(["train", *arguments])
    return config_from_flags(values)


def test_flags_give_the_config(values):
    arguments = ("--num_mux=4", "--learning_rate=0.1", "--attention_scope=image")
    config = parse(values, *arguments)
    expected = Config(num_mux=4, learning_rate=0.1, attention_scope="image")
    assert config == expected
    assert set(given_settings(values)) == {
        "num_mux",
        "learning_rate",
        "attention_scope",
    }


def test_no_flags_give_the_defaults(values):
    assert parse(values) == Config()
    assert given_settings(values) == []


def test_several_numbers(values):
    config = parse(values, "--num_mux=1,2,4", "--num_mux_weights=0.5,0.25,0.25")
    assert config.num_mux == (1, 2, 4)
    assert config.num_mux_weights == (0.5, 0.25, 0.25)
    config.check()
    assert parse(values, "--num_mux_weights=").num_mux_weights == ()
    assert parse(values, "--num_mux_weights=.5").num_mux_weights == (0.5,)


def test_a_tilde_is_the_users_folder_in_every_path(values, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    names = [f.name for f in dataclasses.fields(Config) if f.metadata["is_path"]]
    config = parse(values, *(f"--{name}=~/x" for name in names))
    assert {getattr(config, name) for name in names} == {"/home/someone/x"}
    assert parse(values, "--init_from=hub:~x").init_from == "hub:~x"


def test_the_choices_are_those_of_the_library(values):
    assert values["size"].parser.enum_values == ["auto", *kcp.vit.SIZES]
    for name in ("reducer", "attention_scope", "transform", "demultiplexer"):
        assert len(values[name].parser.enum_values) > 1


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--size=vit_xxl", "vit_nano4"),
        ("--model=resnet", "concatplexer"),
        ("--num_mux=0", "0 must be 1 or greater"),
        ("--num_mux=1,two", "'two' is not a number, or several"),
        ("--num_mux_weights=1,-1", "-1 must be 0 or greater"),
        ("--num_mux_weights=1,nan", "nan must be 0 or greater"),
        ("--epochs=many", "epochs"),
        ("--attention_scope=all", "group"),
        ("--learning_rate=nan", "not a finite number"),
        ("--mixup=-1", "non-negative"),
    ],
)
def test_bad_values_name_the_good_ones(values, argument, message):
    with pytest.raises(flags.IllegalFlagValueError, match=message):
        parse(values, argument)


LIGHT = """
import runpy, sys
sys.argv = ["train", *sys.argv[1:]]
try:
    runpy.run_module("train", run_name="__main__", alter_sys=True)
finally:
    assert not {"keras", "tensorflow", "numpy"} & set(sys.modules)
"""


def answer(*arguments):
    return subprocess.run(
        [sys.executable, "-c", LIGHT, *arguments],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[3],
    )


def test_help_has_every_flag_under_its_topic_without_tensorflow():
    result = answer("--help")
    assert result.returncode == 0
    assert result.stdout.startswith("Trains a ViT")
    text = result.stdout
    for topic in TOPICS:
        section = text.split(f"\n{topic.__doc__.rstrip('.')}:\n")[1]
        section = section.split("\n\n")[0]
        for field in dataclasses.fields(topic):
            assert f"--{field.name}:" in section or f"]{field.name}:" in section
            assert len(field.metadata["help"]) > 10
    assert "--experiment" in text


def test_mistakes_are_told_without_tensorflow():
    for arguments, message in (
        (["--epohcs=3"], "Unknown command line flag 'epohcs'. Did you mean: epochs"),
        (["--workdir=x", "--model=vit", "--num_mux=2"], "would not be used"),
        ([], "--workdir must be given"),
        (["run"], "Received: ['run']"),
    ):
        mistake = answer(*arguments)
        assert mistake.returncode == 1
        assert mistake.stderr.startswith("error: ") and message in mistake.stderr
        assert "Traceback" not in mistake.stderr
