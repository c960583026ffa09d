"""One absl flag per setting of a run."""

import dataclasses

from absl import flags

from savedmodel_export import command

from .config import Config
from .settings import TOPICS


class NumbersParser(flags.ArgumentParser):
    """Parses `"2"` into `2`, `"1,2,4"` into `(1, 2, 4)` and `""` into `()`.

    Args:
        kind: `int` or `float`.
        minimum: the smallest valid number.
        one_alone: whether one number stays a number; else it is a tuple of one.
    """

    syntactic_help = "a number, or several with commas between them"

    def __init__(self, kind, minimum, one_alone):
        super().__init__()
        self.kind, self.minimum, self.one_alone = kind, minimum, one_alone

    def parse(self, argument):
        if not isinstance(argument, str):
            return argument
        numbers = tuple(self._number(text) for text in argument.split(",") if text)
        return numbers[0] if self.one_alone and len(numbers) == 1 else numbers

    def _number(self, text):
        try:
            number = self.kind(text)
        except ValueError:
            raise ValueError(f"{text!r} is not {self.syntactic_help}") from None
        if not self.minimum <= number < float("inf"):
            raise ValueError(f"{text} must be {self.minimum} or greater")
        return number


class NumbersSerializer(flags.ArgumentSerializer):
    """Writes what `NumbersParser` reads."""

    def serialize(self, value):
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


class FiniteParser(flags.FloatParser):
    """Parses a float that is neither infinite nor not a number."""

    def convert(self, argument):
        value = super().convert(argument)
        if value - value != 0:
            raise ValueError(f"{argument} is not a finite number")
        return value


def define_flags(flag_values=flags.FLAGS):
    """Defines one absl flag per field of `Config`, each under its topic."""
    for topic in TOPICS:
        # A class of settings has the title of its topic as its docstring.
        with command.topic(topic.__doc__.rstrip(".")):
            for field in dataclasses.fields(topic):
                _define_flag(field, flag_values)


def _define_flag(field, flag_values):
    choices, minimum = field.metadata["choices"], field.metadata["minimum"]
    name, default, help_text = field.name, field.default, field.metadata["help"]
    options = {"flag_values": flag_values}
    if choices is not None:
        flags.DEFINE_enum(name, default, choices, help_text, **options)
    elif field.metadata["is_path"]:
        command.define_path(name, default, help_text, **options)
    elif field.type is str:
        flags.DEFINE_string(name, default, help_text, **options)
    elif field.type is bool:
        flags.DEFINE_boolean(name, default, help_text, **options)
    elif field.type is int:
        flags.DEFINE_integer(name, default, help_text, minimum, **options)
    else:
        parser, serializer = {
            float: (FiniteParser(minimum), flags.ArgumentSerializer()),
            tuple: (NumbersParser(float, minimum, False), NumbersSerializer()),
            int | tuple: (NumbersParser(int, minimum, True), NumbersSerializer()),
        }[field.type]
        flags.DEFINE(parser, name, default, help_text, serializer=serializer, **options)


def given_settings(values):
    """Returns the names of the settings that the user wrote."""
    return [
        field.name for field in dataclasses.fields(Config) if values[field.name].present
    ]


def config_from_flags(values, base=None):
    """Returns the `Config` of parsed absl flags.

    Args:
        values: the flags.
        base: `Config` or `None` for the defaults. Flags that the user wrote replace
            its values.
    """
    given = {name: values[name].value for name in given_settings(values)}
    return dataclasses.replace(base or Config(), **given)
