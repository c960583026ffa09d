import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from savedmodel_export.serving.models_config import read, update


def entries(text):
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(text, config)
    return {entry.name: entry for entry in config.model_config_list.config}


def pinned(entry):
    return list(entry.model_version_policy.specific.versions)


def test_a_new_entry():
    text = update("# kept\n", "pets", stable=1, canary=2)
    assert text.startswith("# kept\n")
    entry = entries(text)["pets"]
    assert entry.base_path == "/export_dir"
    assert entry.model_platform == "tensorflow"
    assert entry.version_labels == {"stable": 1, "canary": 2}
    # A label for a version that is not loaded would be refused.
    assert pinned(entry) == [1, 2]
    assert read(text, "pets").named == {1, 2}


def test_labels_move_and_leave_no_version_behind():
    text = update("", "pets", stable=1, canary=1)
    text = update(text, "pets", stable=1, canary=10)
    assert pinned(entries(text)["pets"]) == [1, 10]
    text = update(text, "pets", stable=10, canary=10)
    entry = entries(text)["pets"]
    assert entry.version_labels == {"stable": 10, "canary": 10}
    assert pinned(entry) == [10]
    assert update(text, "pets", stable=10, canary=10) == text


OPERATORS = """\
# Our server. Ask Ann before you touch it: { "pets" }
model_config_list: {
  config {  # the old one
    name: "dogs" base_path: "/mnt/dogs"
    model_version_policy { all {} }
  }
  config: <
    name: "pets"   # renamed
    base_path: "/mnt/elsewhere/pets"
    model_platform: "tensorflow"
    version_labels { value: 2 key: 'stable' }
    version_labels { key: "rollback" value: 1 }  # for Ann
    version_labels { key: "canary" value: 3 }
    model_version_policy { POLICY }
    logging_config { sampling_config { sampling_rate: 0.5 } }
  >
}
# the end
"""


@pytest.mark.parametrize(
    "policy, expected",
    [
        # 4 is the operator's own; 3, which `canary` leaves, goes.
        (
            "specific { versions: 1 versions: 2 # why\n versions: 3 versions: 4 }",
            [1, 2, 4, 5],
        ),
        ("specific { versions: [1, 2, 3] }", [1, 2, 5]),
        ("specific: { }", [1, 2, 5]),
        ("all {}", None),
        ("latest { num_versions: 3 }", None),
    ],
)
def test_what_the_operator_wrote_stays(policy, expected):
    text = OPERATORS.replace("POLICY", policy)
    new = update(text, "pets", stable=2, canary=5)
    entry = entries(new)["pets"]
    assert entry.version_labels == {"stable": 2, "rollback": 1, "canary": 5}
    assert entry.base_path == "/mnt/elsewhere/pets"
    assert entry.logging_config == entries(text)["pets"].logging_config
    assert entries(new)["dogs"] == entries(text)["dogs"]
    if expected:
        assert pinned(entry) == expected
    else:
        assert entry.model_version_policy == entries(text)["pets"].model_version_policy
        expected_text = text.replace('"canary" value: 3', '"canary" value: 5')
        assert new == expected_text
    for comment in ("Ask Ann", "the old one", "# renamed", "for Ann", "# the end"):
        assert comment in new
    assert ("# why" in new) == ("# why" in text)


def test_the_entry_is_known_by_its_path_too():
    text = update("", "folder", stable=1, canary=1).replace('"folder"', '"renamed"')
    assert set(entries(update(text, "folder", stable=1, canary=2))) == {"renamed"}


def test_errors():
    with pytest.raises(ValueError, match="not a ModelServerConfig"):
        update("model_config_list { nonsense: 1 }", "pets", 1, 1)
    text = 'model_config_list { config [{ name: "pets" }] }'
    with pytest.raises(ValueError, match="cannot edit. Write each entry as"):
        update(text, "pets", 1, 1)
