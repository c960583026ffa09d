"""Edits of protobuf's text format that leave all else in the text as it was.

The protobuf library reads the format, but what it writes has lost the comments, the
order and the spacing of a file that people edit.
"""

import dataclasses
import re

_TOKEN = re.compile(
    r"""
    (?P<space> (?: \s | \#[^\n]* )+ )
    | (?P<string> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )
    | (?P<word> [\w.+-]+ )
    | (?P<mark> [{}<>\[\]:;,] )
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSING = {"{": "}", "<": ">"}


@dataclasses.dataclass(frozen=True)
class Field:
    """A field and where it stands.

    Attributes:
        name: str.
        start: int, where the name begins.
        end: int, behind the value.
        value_start: int, where the value begins: a message's at its bracket.
        fields: list of `Field` of a message; empty for other values.
    """

    name: str
    start: int
    end: int
    value_start: int
    fields: list

    def value(self, text):
        """Returns the value as it stands in the text, unquoted if it is a string."""
        value = text[self.value_start : self.end]
        return value[1:-1] if value[0] in "\"'" else value

    def all(self, name):
        """Returns the fields of this message that have this name."""
        return [field for field in self.fields if field.name == name]

    def first(self, name):
        """Returns the first such field, or `None`."""
        return next(iter(self.all(name)), None)


def parse(text):
    """Returns a text, which protobuf can read, as one `Field` with its parts."""
    tokens = [
        match for match in _TOKEN.finditer(text) if match.lastgroup != "space"
    ] + [None]
    return Field("", 0, len(text), 0, _message(tokens, [0], None))


def edited(text, edits):
    """Returns the text with replacements: an iterable of (start, end, new text)."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _message(tokens, place, closing):
    """Reads fields from `place[0]` on, up to a closing bracket."""
    fields = []
    while (token := tokens[place[0]]) is not None and token.group() != closing:
        place[0] += 1
        if token.lastgroup == "word":
            fields.append(_field(tokens, place, token))
    return fields


def _field(tokens, place, name):
    if tokens[place[0]].group() == ":":
        place[0] += 1
    first = tokens[place[0]]
    fields = []
    if first.group() in _CLOSING:
        place[0] += 1
        fields = _message(tokens, place, _CLOSING[first.group()])
    elif first.group() == "[":
        while tokens[place[0]].group() != "]":
            place[0] += 1
    elif first.lastgroup == "string":
        # Adjacent strings are one value.
        while tokens[place[0] + 1] is not None and (
            tokens[place[0] + 1].lastgroup == "string"
        ):
            place[0] += 1
    end = tokens[place[0]].end()
    place[0] += 1
    return Field(name.group(), name.start(), end, first.start(), fields)
