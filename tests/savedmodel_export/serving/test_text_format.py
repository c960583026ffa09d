from savedmodel_export.serving.text_format import edited, parse

TEXT = """\
# outer { not a field: 1 }
list {
  item: { name: "a } # no" numbers: [1, 2] }  # behind
  item < name: 'it''s' weight: -1.5e3; >
}
"""


def test_fields_and_where_they_stand():
    (whole,) = parse(TEXT).fields
    assert whole.name == "list"
    first, second = whole.all("item")
    assert first.first("name").value(TEXT) == "a } # no"
    assert first.first("numbers").value(TEXT) == "[1, 2]"
    assert second.first("weight").value(TEXT) == "-1.5e3"
    assert second.first("missing") is None
    assert TEXT[second.start : second.end].startswith("item <")
    assert TEXT[second.value_start] == "<" and TEXT[second.end - 1] == ">"


def test_edits_leave_all_else_as_it_was():
    first, second = parse(TEXT).first("list").all("item")
    name, weight = first.first("name"), second.first("weight")
    new = edited(
        TEXT,
        [(name.value_start, name.end, '"b"'), (weight.value_start, weight.end, "7")],
    )
    assert new == TEXT.replace('"a } # no"', '"b"').replace("-1.5e3", "7")
