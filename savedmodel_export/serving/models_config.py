"""`models.config`: which versions the server loads, and what their labels are.

Only the labels `stable` and `canary` of one model, and the versions that they name,
are kept up to date. The text around them (other models, labels, policies, paths,
comments) is the operator's and stays.
"""

import dataclasses

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from savedmodel_export.serving.text_format import edited, parse

# Where the container sees the export folder; `serve.sh` puts the real path here.
BASE_PATH = "/export_dir"

_NEW = """\
model_config_list {
}
"""
_ENTRY = """\
  config {{
    name: "{name}"
    base_path: "{base_path}"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ }} }}
  }}
"""


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """What a text of `models.config` says of the model of this export folder.

    Attributes:
        labels: dict, label -> version.
        pinned: set of the versions that the policy names, or `None` of a policy that
            names none (`all`, `latest`).
    """

    labels: dict
    pinned: set | None

    @property
    def named(self):
        """The set of all versions that the text names."""
        return {*self.labels.values(), *(self.pinned or ())}


def read(text, name):
    """Returns the `ServedModel` of a text.

    Args:
        text: str, content of `models.config`.
        name: str, the model's name where the operator has changed its base path.

    Raises:
        ValueError: if the text is not one that the server would read.
    """
    config = _parsed(text)
    index = _index(config, name)
    return _served(config.model_config_list.config[index] if index >= 0 else None)


def update(text, name, stable, canary):
    """Returns the text with both labels at their versions, and these pinned.

    Versions that the labels have left are no longer pinned, unless another label names
    them. A policy that names no versions stays as it is.

    Args:
        text: str, content of `models.config`, or "".
        name: str, of the model if the text does not have it yet.
        stable: int. Version with the label `stable`.
        canary: int. Version with the label `canary`.

    Raises:
        ValueError: if the text cannot be read, or is written in a way that cannot be
            edited.
    """
    if _index(_parsed(text), name) < 0:
        text = _with_entry(text, name)
    wanted = _parsed(text)
    entry = wanted.model_config_list.config[_index(wanted, name)]
    before = _served(entry)
    entry.version_labels["stable"] = stable
    entry.version_labels["canary"] = canary
    if before.pinned is not None:
        left = {before.labels.get("stable"), before.labels.get("canary")}
        pinned = (before.pinned - left) | set(entry.version_labels.values())
        entry.model_version_policy.specific.versions[:] = sorted(pinned)
    new = _edited_entry(text, _index(wanted, name), entry)
    if not _means(new, wanted):
        raise ValueError(
            f"the model {entry.name} is written in a way that this program cannot "
            "edit. Write each entry as `config { ... }` and each label as "
            "`version_labels { key: ... value: ... }`"
        )
    return new


def _parsed(text):
    config = model_server_config_pb2.ModelServerConfig()
    try:
        return text_format.Parse(text, config)
    except text_format.ParseError as error:
        raise ValueError(f"not a ModelServerConfig: {error}") from error


def _means(text, wanted):
    try:
        return _parsed(text) == wanted
    except ValueError:
        return False


def _index(config, name):
    """Returns the place of this folder's model among the entries, or -1."""
    entries = config.model_config_list.config
    for is_ours in (
        lambda entry: entry.base_path == BASE_PATH,
        lambda entry: entry.name == name,
    ):
        for index, entry in enumerate(entries):
            if is_ours(entry):
                return index
    return -1


def _served(entry):
    if entry is None:
        return ServedModel({}, set())
    policy = entry.model_version_policy
    pins = policy.WhichOneof("policy_choice") == "specific"
    pinned = set(policy.specific.versions) if pins else None
    return ServedModel(dict(entry.version_labels), pinned)


def _with_entry(text, name):
    models = parse(text).first("model_config_list")
    if models is None:
        text = f"{text}{_NEW}"
        models = parse(text).first("model_config_list")
    entry = _ENTRY.format(name=name, base_path=BASE_PATH)
    return edited(text, [(models.end - 1, models.end - 1, entry)])


def _edited_entry(text, index, wanted):
    """Returns the text with the labels and pinned versions of one entry as wanted."""
    entries = parse(text).first("model_config_list").all("config")
    if index >= len(entries):
        return text
    entry = entries[index]
    edits, new_lines = [], ""
    for label in ("stable", "canary"):
        version = str(wanted.version_labels[label])
        value = _value_of_label(text, entry, label)
        if value is None:
            new_lines += f'    version_labels {{ key: "{label}" value: {version} }}\n'
        else:
            edits.append((value.value_start, value.end, version))
    edits.append((entry.end - 1, entry.end - 1, new_lines))
    policy = entry.first("model_version_policy")
    specific = policy and policy.first("specific")
    if specific:
        edits += _pins(specific, wanted.model_version_policy.specific.versions)
    return edited(text, edits)


def _value_of_label(text, entry, label):
    for field in entry.all("version_labels"):
        key = field.first("key")
        if key and key.value(text) == label:
            return field.first("value")
    return None


def _pins(specific, versions):
    new = " ".join(f"versions: {version}" for version in versions)
    fields = specific.all("versions")
    if not fields:
        return [(specific.end - 1, specific.end - 1, f"{new} ")]
    first, *others = fields
    # Comments between the fields stay.
    return [(first.start, first.end, new)] + [
        (field.start, field.end, "") for field in others
    ]
