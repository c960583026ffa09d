"""Pictures of an evaluation: groups with their answers, classes that are confused.

All return a `matplotlib.figure.Figure`, in colours that colour-blind people can tell
apart. What they need, matplotlib, comes with the extra `train`.
"""

import math

import numpy as np

RIGHT, WRONG = "#0072B2", "#D55E00"
MAX_GRID_IMAGES = 16
# With more classes neither their names nor the counts could be read.
MAX_NAMED_CLASSES = 30
_COLUMNS = 8


def draw_groups(images, labels, predictions, class_names, num_mux):
    """Draws images in their groups, each with what the model says.

    Args:
        images: array `(num_images, height, width, channels)` of values in [0, 1]; the
            first are shown, up to 16.
        labels: int sequence, the true classes.
        predictions: int sequence, the model's.
        class_names: sequence of str.
        num_mux: int. Images per group.

    Returns:
        `Figure`: a frame per group, wrong answers in another colour and in bold.
    """
    from matplotlib.figure import Figure

    shown = min(len(images), max(MAX_GRID_IMAGES, num_mux))
    num_groups = math.ceil(shown / num_mux)
    columns = min(num_groups, max(1, _COLUMNS // num_mux))
    rows = math.ceil(num_groups / columns)
    # Wide, because TensorBoard shows every image at one height.
    size = (1.5 * columns * num_mux, 0.4 + 1.9 * rows)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    figure.suptitle("Test images: predicted class; where it is wrong, the true one")
    frames = figure.subfigures(rows, columns, squeeze=False, wspace=0.02, hspace=0.02)
    for group, frame in enumerate(frames.flat):
        # As on a chess board, so that neighbours differ in any arrangement.
        row, column = divmod(group, columns)
        frame.set_facecolor("#E4E4E4" if (row + column) % 2 else "#F6F6F6")
        for slot, axes in enumerate(frame.subplots(1, num_mux, squeeze=False).flat):
            axes.set_axis_off()
            index = group * num_mux + slot
            if index >= shown:
                continue
            axes.imshow(images[index], cmap="gray", vmin=0, vmax=1)
            true, predicted = labels[index], predictions[index]
            right = true == predicted
            text = class_names[predicted]
            axes.set_title(
                # Two lines in any case, so that images stand level.
                f"{text}\n" if right else f"{text}\n(is {class_names[true]})",
                fontsize=9,
                color=RIGHT if right else WRONG,
                weight="normal" if right else "bold",
                parse_math=False,
            )
    return figure


def confusion(labels, predictions, num_classes):
    """Returns int array `(num_classes, num_classes)`: true class, predicted class."""
    pairs = np.asarray(labels) * num_classes + np.asarray(predictions)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, -1)


def most_confused(counts, number=5):
    """Returns the pairs of classes that are taken for each other most often.

    Args:
        counts: array as `confusion` returns it.
        number: int. Pairs at most.

    Returns:
        list of `(true, predicted, count)`, the most frequent first, none with 0.
    """
    wrong = counts * (1 - np.eye(len(counts), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:number]
    pairs = [divmod(int(index), len(counts)) for index in order]
    return [(*pair, int(wrong[pair])) for pair in pairs if wrong[pair]]


def draw_confusion(labels, predictions, class_names):
    """Draws which class is taken for which, and each class's accuracy.

    Args:
        labels: int sequence, the true classes.
        predictions: int sequence, the model's.
        class_names: sequence of str.

    Returns:
        `Figure`: counts with the true classes as rows, beside them the accuracy of
        each class; below, the pairs that are confused most.
    """
    from matplotlib.figure import Figure

    counts = confusion(labels, predictions, len(class_names))
    totals = counts.sum(1)
    accuracies = 100 * np.divide(counts.diagonal(), np.maximum(totals, 1))
    named = len(class_names) <= MAX_NAMED_CLASSES
    side = max(5.0, 0.42 * len(class_names)) if named else 8.0
    figure = Figure(figsize=(1.6 * side, side + 1.2), layout="constrained")
    matrix, bars = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    # The square root keeps single mistakes visible beside hundreds of right answers.
    matrix.imshow(np.sqrt(counts), cmap="Blues", aspect="auto")
    right = counts.trace()
    title = (
        f"{right:,} of {len(labels):,} test images right ({right / len(labels):.1%})"
    )
    matrix.set(xlabel="predicted class", ylabel="true class", title=title)
    bars.barh(range(len(counts)), accuracies, color=RIGHT)
    bars.set(xlabel="accuracy of the class, %", xlim=(0, 100))
    if named:
        places = range(len(class_names))
        matrix.set_xticks(places, class_names, rotation=90, parse_math=False)
        matrix.set_yticks(places, class_names, parse_math=False)
        half = np.sqrt(counts.max()) / 2
        for row, column in np.argwhere(counts):
            count = counts[row, column]
            color = "white" if np.sqrt(count) > half else "black"
            text = {"ha": "center", "va": "center", "fontsize": 8, "color": color}
            matrix.text(column, row, f"{count}", **text)
    confused = [
        f"{class_names[true]} taken for {class_names[predicted]}: {count}"
        for true, predicted, count in most_confused(counts)
    ]
    figure.supxlabel(
        "\n".join(["Most confused:", *confused]) if confused else "No mistakes",
        fontsize=9,
        parse_math=False,
    )
    return figure


def draw_accuracy(rows):
    """Draws the accuracy and the cost against N.

    Args:
        rows: list of dicts with `num_mux`, `accuracy` and `gmacs_per_image`, such as
            `per_num_mux` of a training's `results.json`.

    Returns:
        `Figure`.
    """
    from matplotlib.figure import Figure

    rows = sorted(rows, key=lambda row: row["num_mux"])
    names = [str(row["num_mux"]) for row in rows]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    accuracy, cost = figure.subplots(1, 2)
    accuracy.plot(names, [100 * row["accuracy"] for row in rows], "o-", color=RIGHT)
    accuracy.set(ylabel="test accuracy, %", title="Accuracy")
    cost.bar(names, [row["gmacs_per_image"] for row in rows], color="#E69F00")
    cost.set(ylabel="GMACs per image", title="Cost")
    for axes in (accuracy, cost):
        axes.set_xlabel("N, images per sequence")
        axes.grid(axis="y", alpha=0.3)
    return figure


def draw_kept(image, kept):
    """Draws an image beside what the token reduction keeps of it.

    Args:
        image: array `(height, width, channels)` of values in [0, 1].
        kept: array `(rows, columns)`, as `kept_of_patches` returns it.

    Returns:
        `Figure`.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    shown, heat = figure.subplots(1, 2)
    shown.imshow(image, cmap="gray", vmin=0, vmax=1)
    shown.set_title("image")
    shown.set_axis_off()
    drawn = heat.imshow(100 * kept, cmap="cividis", vmin=0)
    heat.set(title="weight of each patch behind the reduction", xlabel="patch column")
    heat.set_ylabel("patch row")
    for axis in (heat.xaxis, heat.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(drawn, ax=heat, label="share, %")
    return figure


def draw_attention(attention):
    """Draws which images of a group attend to which, block by block.

    Args:
        attention: array `(num_blocks, num_mux, num_mux)`, as
            `attention_between_images` returns it.

    Returns:
        `Figure`: shares in percent, a matrix per block of the backbone.
    """
    from matplotlib.figure import Figure

    number = len(attention)
    figure = Figure(figsize=(2.4 * number + 1.2, 3.2), layout="constrained")
    figure.suptitle("Share of attention, %: who looks (rows) at whom (columns)")
    panels = figure.subplots(1, number, squeeze=False).flat
    slots = range(attention.shape[1])
    for block, (axes, shares) in enumerate(zip(panels, attention, strict=True)):
        drawn = axes.imshow(100 * shares, cmap="cividis", vmin=0, vmax=100)
        axes.set(title=f"block {block}", xticks=slots, yticks=slots, xlabel="slot")
        for row, column in np.ndindex(shares.shape):
            share = 100 * shares[row, column]
            color = "black" if share > 50 else "white"
            text = {"ha": "center", "va": "center", "fontsize": 8, "color": color}
            axes.text(column, row, f"{share:.0f}", **text)
    figure.axes[0].set_ylabel("slot")
    figure.colorbar(drawn, ax=figure.axes, label="%")
    return figure


def pixels(figure):
    """Returns a figure as uint8 array `(height, width, 3)`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
