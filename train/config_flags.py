"""One absl flag per setting of `Config`."""

import dataclasses

from absl import flags

from train.config import Config
from train.number_flags import NumbersParser, NumbersSerializer

# Type of a field that holds one number or several -> the type of each.
_NUMBERS = {int | tuple: int, float | tuple: float}


def define_flags(flag_values=flags.FLAGS):
    """Defines one absl flag per field of `Config`."""
    for field in dataclasses.fields(Config):
        arguments = (field.name, field.default)
        help_text, choices = field.metadata["help"], field.metadata["choices"]
        if choices is not None:
            flags.DEFINE_enum(*arguments, choices, help_text, flag_values)
        elif field.type is bool:
            flags.DEFINE_boolean(*arguments, help_text, flag_values)
        elif field.type is str:
            flags.DEFINE_string(*arguments, help_text, flag_values)
        elif field.type in _NUMBERS:
            parser = NumbersParser(_NUMBERS[field.type], field.metadata["minimum"])
            flags.DEFINE(
                *(parser, *arguments, help_text),
                flag_values=flag_values,
                serializer=NumbersSerializer(),
            )
        else:
            define = flags.DEFINE_integer if field.type is int else flags.DEFINE_float
            minimum = field.metadata["minimum"]
            define(*arguments, help_text, lower_bound=minimum, flag_values=flag_values)


def config_from_flags(values, base=None):
    """Returns the `Config` of parsed absl flags.

    Args:
        values: the flags.
        base: `Config` or `None`. Where it is given, only flags that the user
            wrote replace its values.
    """
    names = [field.name for field in dataclasses.fields(Config)]
    if base is None:
        return Config(**{name: values[name].value for name in names})
    given = {name: values[name].value for name in names if values[name].present}
    return dataclasses.replace(base, **given)
