"""The texts, charts and columns that TensorBoard shows of a run."""

import dataclasses
import pathlib

from ..config import fields

# The settings that tell runs apart; all of them stand in the text `run/settings`.
HPARAMS = (
    "dataset",
    "model",
    "size",
    "init_from",
    "teacher",
    "num_mux",
    "attention_scope",
    "reducer",
    "epochs",
    "learning_rate",
)
# Tag -> what people call it.
METRICS = {
    "accuracy/test": "test accuracy",
    "accuracy/validation": "validation accuracy",
    "speed/images_per_second": "images/s in training",
    "speed/gmacs_per_image": "GMACs per image",
}


def hparams_of(config):
    """Returns dict of the settings in `HPARAMS` that the run uses, as single values."""
    values = {}
    for field in dataclasses.fields(config):
        needs, value = field.metadata["needs"], getattr(config, field.name)
        if field.name not in HPARAMS or (needs and not needs.holds(config)):
            continue
        if field.metadata["is_path"]:
            # A column is narrow; the settings' text has the whole path.
            value = pathlib.PurePath(value).name
        elif field.name == "num_mux":
            # One column has one type, and several N are text.
            value = ",".join(map(str, value if isinstance(value, tuple) else (value,)))
        values[field.name] = value
    return values


def hparams_shown():
    """Returns the arguments of `hparams_config`: the columns of the HParams tab."""
    from tensorboard.plugins.hparams import api as hparams

    return {
        "hparams": [hparams.HParam(name) for name in HPARAMS],
        "metrics": [
            hparams.Metric(tag, display_name=name) for tag, name in METRICS.items()
        ],
    }


def layout(config):
    """Returns the summary with the charts of the Custom Scalars tab.

    Training and validation stand in one chart each; no chart is without data.

    Args:
        config: `Config`.
    """
    from tensorboard.plugins.custom_scalar import layout_pb2, summary

    def chart(title, *tags):
        lines = layout_pb2.MultilineChartContent(tag=tags)
        return layout_pb2.Chart(title=title, multiline=lines)

    score = "accuracy" if fields.LABELS.holds(config) else "cosine"
    charts = [
        chart("loss", "^loss/(train|validation)$"),
        chart(score, f"^{score}/(train|validation)$"),
    ]
    if fields.MULTIPLEXED.holds(config) and fields.LABELS.holds(config):
        charts.append(chart("validation accuracy of each slot", "^slots/validation"))
    if fields.ELASTIC.holds(config):
        charts.append(chart(f"validation {score} at each N", f"^{score}/validation_n"))
    quality = layout_pb2.Category(title="quality", chart=charts)
    course = layout_pb2.Category(
        title="course",
        chart=[
            chart("learning rate", "^optimizer/learning_rate$"),
            chart("gradient's norm", "^optimizer/gradient_norm$"),
            chart("images/s", "^speed/images_per_second$"),
        ],
    )
    return summary.pb(layout_pb2.Layout(category=[quality, course]))


def settings_table(config):
    """Returns all settings as a Markdown table, those that were changed in bold."""
    lines = ["| setting | value |", "|---|---|"]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        shown = f"`{value}`" if value != "" else ""
        name = field.name if value == field.default else f"**{field.name}**"
        lines.append(f"| {name} | {shown} |")
    return "\n".join(lines)


def describe(classifier, cost):
    """Returns the model's stages with their cost, and its layers, as Markdown."""
    total = cost.gmacs_per_image
    lines = ["| stage | GMACs per image | share |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {macs / 1e9:.4g} | {macs / 1e9 / total:.1%} |"
        for name, macs in cost.stages.items()
    ]
    lines += [f"| **total** | **{total:.4g}** | |", ""]
    lines += ["| layer | type | output | parameters |", "|---|---|---|---:|"]
    for layer in classifier.layers:
        lines.append(
            f"| {layer.name} | {type(layer).__name__} | `{_shape(layer)}` "
            f"| {layer.count_params():,} |"
        )
    lines.append(f"| **total** | | | **{classifier.count_params():,}** |")
    return "\n".join(lines)


def _shape(layer):
    try:
        return layer.output.shape
    except (AttributeError, ValueError):
        # A layer that several models share has no single output.
        return ""
