import numpy as np

from keras_concatplexer.analysis.pictures import (
    RIGHT,
    WRONG,
    confusion,
    draw_accuracy,
    draw_confusion,
    draw_groups,
    most_confused,
    pixels,
)

NAMES = ("cat", "dog", "fox")


def words(figure):
    found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return [text.get_text() for text in found if text.get_text()]


def test_rows_of_the_confusion_are_true_classes():
    counts = confusion([0, 0, 0, 2], [0, 1, 1, 2], 3)
    np.testing.assert_array_equal(counts, [[1, 2, 0], [0, 0, 0], [0, 0, 1]])


def test_the_most_confused_pairs_come_first_and_right_answers_do_not_count():
    counts = np.array([[9, 1, 0], [3, 9, 0], [0, 2, 9]])
    assert most_confused(counts) == [(1, 0, 3), (2, 1, 2), (0, 1, 1)]
    assert most_confused(counts, 1) == [(1, 0, 3)]
    assert most_confused(np.eye(3, dtype=int)) == []


def test_a_confusion_says_counts_accuracies_and_pairs():
    figure = draw_confusion([0, 0, 0, 1, 2], [0, 0, 1, 1, 2], NAMES)
    shown = words(figure)
    assert "4 of 5 test images right (80.0%)" in shown
    assert {"2", "1", "cat", "dog", "fox"} <= set(shown)
    assert "Most confused:\ncat taken for dog: 1" in shown
    bars = [bar.get_width() for bar in figure.axes[1].patches]
    np.testing.assert_allclose(bars, [200 / 3, 100, 100])
    picture = pixels(figure)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3


def test_many_classes_have_no_names():
    figure = draw_confusion([0, 39], [0, 38], [f"class {i}" for i in range(40)])
    assert "class 5" not in words(figure)
    assert "Most confused:\nclass 39 taken for class 38: 1" in words(figure)


def test_groups_stand_apart_and_mistakes_are_told(images):
    names = ("$\\frac{a$", "$x_", "a\nb")
    figure = draw_groups(images(7), [0] * 7, [0, 1] * 4, names, 2)
    # Four groups, the last one with a place that is empty.
    assert len(figure.subfigs) == 4
    titles = {a.get_title().strip(): a.title for a in figure.axes if a.get_title()}
    assert set(titles) == {"$\\frac{a$", "$x_\n(is $\\frac{a$)"}
    assert {title.get_color() for title in titles.values()} == {RIGHT, WRONG}
    assert pixels(figure).shape[2] == 3


def test_a_group_that_is_larger_than_a_row(images):
    figure = draw_groups(images(16), [0] * 16, [0] * 16, NAMES, 16)
    assert len(figure.subfigs) == 1 and len(figure.axes) == 16


def test_accuracy_against_n():
    rows = [
        {"num_mux": 4, "accuracy": 0.5, "gmacs_per_image": 1.0},
        {"num_mux": 1, "accuracy": 0.75, "gmacs_per_image": 3.0},
    ]
    accuracy, cost = draw_accuracy(rows).axes
    np.testing.assert_allclose(accuracy.lines[0].get_ydata(), [75, 50])
    assert [bar.get_height() for bar in cost.patches] == [3, 1]
