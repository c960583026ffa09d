"""Flags that take one number, or several with commas between them."""

from absl import flags


class NumbersParser(flags.ArgumentParser):
    """Parses `"2"` into `2`, `"1,2,4"` into `(1, 2, 4)` and `""` into `()`.

    Args:
        kind: `int` or `float`.
        minimum: the smallest valid number.
    """

    syntactic_help = "a number, or several with commas between them"

    def __init__(self, kind, minimum):
        super().__init__()
        self.kind, self.minimum = kind, minimum

    def parse(self, argument):
        if not isinstance(argument, str):
            return argument
        numbers = tuple(self._number(text) for text in argument.split(",") if text)
        return numbers[0] if len(numbers) == 1 else numbers

    def _number(self, text):
        try:
            number = self.kind(text)
        except ValueError:
            raise ValueError(f"{text!r} is not {self.syntactic_help}") from None
        if number < self.minimum:
            raise ValueError(f"{text} must be {self.minimum} or greater")
        return number


class NumbersSerializer(flags.ArgumentSerializer):
    """Writes what `NumbersParser` reads."""

    def serialize(self, value):
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
