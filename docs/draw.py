"""Draws the pictures of the concepts: `python docs/draw.py` writes docs/images/*.svg.

The colours are those of Okabe and Ito, which colour-blind people can tell apart.
"""

import pathlib

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

FOLDER = pathlib.Path(__file__).parent / "images"
FIRST, SECOND, CLASS_TOKEN = "#0072B2", "#E69F00", "#333333"
WINDOW, SHARED = "#009E73", "#CC79A7"
EDGE = {"edgecolor": "white", "linewidth": 1.2}
# The same drawing is the same file.
matplotlib.rcParams["svg.hashsalt"] = "concepts"
matplotlib.rcParams["font.size"] = 10


def canvas(width, height):
    """Returns a figure and axes whose unit is a tenth of an inch."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes([0, 0, 1, 1])
    axes.set(xlim=(0, width * 10), ylim=(0, height * 10), aspect="equal")
    axes.set_axis_off()
    return figure, axes


def tokens(axes, x, y, number, color, size=1.6, alpha=1.0):
    """Draws a class token and patch tokens in a row; returns where it ends."""
    for index in range(number + 1):
        face = CLASS_TOKEN if index == 0 else color
        square = Rectangle((x + index * size, y), size, size, facecolor=face, **EDGE)
        square.set_alpha(alpha)
        axes.add_patch(square)
    return x + (number + 1) * size


def box(axes, x, y, width, height, text, color="#EEEEEE"):
    """Draws a rounded box with text in its middle."""
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle="round,pad=0.2,rounding_size=0.8",
            facecolor=color,
            edgecolor="#555555",
        )
    )
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center")


def arrow(axes, start, end):
    """Draws an arrow between two points."""
    style = {"arrowstyle": "-|>", "color": "#555555", "lw": 1.4}
    axes.annotate("", end, start, arrowprops=style)


def way():
    """The way of two images, N = 2: alone, reduced, together, apart again."""
    figure, axes = canvas(11, 4.0)
    for y, color, name, slot in ((26, FIRST, "image 1", 0), (13, SECOND, "image 2", 1)):
        axes.add_patch(Rectangle((1, y - 2), 6, 6, facecolor=color, alpha=0.85, **EDGE))
        axes.text(4, y + 1, name, ha="center", va="center", color="white", fontsize=9)
        axes.text(4, y - 3.6, f"slot {slot}", ha="center", va="center", fontsize=9)
        arrow(axes, (7.6, y + 1), (10, y + 1))
        tokens(axes, 10.5, y + 0.2, 8, color)
        arrow(axes, (25.4, y + 1), (28, y + 1))
        arrow(axes, (38.6, y + 1), (41, y + 1))
        box(axes, 41.5, y - 2, 9.5, 6, "reduce", WINDOW + "44")
        arrow(axes, (51.6, y + 1), (54.4, 21 if y > 20 else 19.6))
        arrow(axes, (91, 21 if y > 20 else 19.6), (94, y + 1))
        tokens(axes, 94.4, y + 0.2, 4, color)
        arrow(axes, (102.8, y + 1), (104.6, y + 1))
        axes.text(107, y + 1, "class", ha="center", va="center")
    box(axes, 28.5, 10, 9.5, 23, "patchifier:\nfirst blocks,\neach image\nalone")
    end = tokens(axes, 54.8, 19.4, 4, FIRST)
    tokens(axes, end, 19.4, 4, SECOND)
    axes.text(62.8, 16.9, "one sequence", ha="center", va="center", fontsize=9)
    arrow(axes, (71.2, 20.2), (73.6, 20.2))
    box(axes, 74, 14, 15.8, 13, "backbone:\nthe other blocks,\nshared by the group")
    titles = (
        (4, "input"),
        (17.7, "embedding"),
        (33.2, "patchifier"),
        (56, "multiplexer: reduce and concatenate"),
        (82, "backbone"),
        (100, "demultiplexer, head"),
    )
    for x, title in titles:
        axes.text(x, 36.5, title, ha="center", va="center", weight="bold", fontsize=10)
    axes.text(
        10.5,
        3.5,
        "dark: each image's class token, never reduced · "
        "colours: patch tokens of the two images of a group",
        va="center",
        fontsize=9,
    )
    return figure


def scopes():
    """Who attends to whom in the backbone, for two images of a group."""
    figure, axes = canvas(8, 3.8)
    sides = ("attention_scope='group'", "attention_scope='image'")
    for x, title, mixed in ((7, sides[0], True), (47, sides[1], False)):
        for row in range(10):
            for column in range(10):
                own = (row < 5) == (column < 5)
                color = (FIRST if row < 5 else SECOND) if own else SHARED
                if not own and not mixed:
                    color = "#F2F2F2"
                place = (x + column * 2.2, 26 - row * 2.2)
                axes.add_patch(Rectangle(place, 2.2, 2.2, facecolor=color, **EDGE))
        axes.text(x + 11, 32.5, title, ha="center", weight="bold")
        axes.text(x + 11, 29.4, "image 1          image 2", ha="center", fontsize=9)
        axes.text(x - 1, 22.5, "image 1", rotation=90, ha="center", va="center")
        axes.text(x - 1, 11.5, "image 2", rotation=90, ha="center", va="center")
    axes.text(18, 3.4, "answers depend on the neighbours", ha="center", fontsize=10)
    axes.text(58, 3.4, "an answer depends on its image alone", ha="center", fontsize=10)
    return figure


def reduction():
    """Which patches of an image become one token, at the default strides."""
    figure, axes = canvas(9, 3.2)
    cases = (
        (4, "N = 1", (1, 1), "64 tokens"),
        (26, "N = 2, strides (1, 2)", (1, 2), "32 tokens"),
        (48, "N = 4, strides (2, 2)", (2, 2), "16 tokens"),
        (70, "N = 8, strides (2, 4)", (2, 4), "8 tokens"),
    )
    size = 2.0
    for x, title, (rows, columns), count in cases:
        for row in range(0, 8, rows):
            for column in range(0, 8, columns):
                dark = (row // rows + column // columns) % 2
                axes.add_patch(
                    Rectangle(
                        (x + column * size, 24 - (row + rows) * size),
                        columns * size,
                        rows * size,
                        facecolor=WINDOW if dark else FIRST,
                        alpha=0.75,
                        **EDGE,
                    )
                )
        axes.text(x + 8, 26.5, title, ha="center", weight="bold", fontsize=10)
        axes.text(x + 8, 5.4, f"{count} an image", ha="center", fontsize=10)
    axes.text(
        45,
        1.8,
        "an image of 8 x 8 patches; a sequence holds N images, so about 64 patch "
        "tokens in every case",
        ha="center",
        fontsize=9,
    )
    return figure


def elastic():
    """One set of weights at several N."""
    figure, axes = canvas(9, 3.4)
    box(axes, 3, 9, 15, 14, "patchifier\n\none set of weights", SHARED + "44")
    box(axes, 66, 9, 20, 14, "backbone and head\n\nthe same weights", SHARED + "44")
    for y, number, text in (
        (25, 1, "N = 1: no reduction"),
        (14.6, 2, "N = 2: its own multiplexer"),
        (4.2, 4, "N = 4: its own multiplexer"),
    ):
        arrow(axes, (18.8, 16), (24, y + 1.4))
        box(
            axes,
            24.4,
            y - 1,
            20,
            4.8,
            text,
            "#EEEEEE" if number == 1 else WINDOW + "44",
        )
        x = 47.6
        for index in range(number):
            x = tokens(
                axes, x, y + 0.6, 8 // number, (FIRST, SECOND)[index % 2], size=1.4
            )
        arrow(axes, (x + 0.3, y + 1.4), (65.6, 16))
    axes.text(34.4, 31.6, "chosen per call", ha="center", weight="bold")
    axes.text(55, 31.6, "a sequence", ha="center", weight="bold")
    return figure


def main():
    """Writes all pictures."""
    FOLDER.mkdir(exist_ok=True)
    for draw in (way, scopes, reduction, elastic):
        draw().savefig(
            FOLDER / f"{draw.__name__}.svg", metadata={"Date": None}, facecolor="white"
        )


if __name__ == "__main__":
    main()
