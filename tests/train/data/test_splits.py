import pytest
import tensorflow_datasets as tfds

from train.data.splits import choose_splits, ranges


def known(**numbers):
    return {
        name: tfds.core.SplitInfo(name=name, shard_lengths=[number], num_bytes=0)
        for name, number in numbers.items()
    }


def choose(splits, **given):
    return choose_splits(splits, {"train": "", "validation": "", "test": "", **given})


@pytest.mark.parametrize(
    "splits, expected, num_held_out",
    [
        (known(train=100, validation=10, test=20), ["train", "validation", "test"], 0),
        (known(Training=100, val=10, testing=20), ["Training", "val", "testing"], 0),
        (known(train=100, test=20), ["train[0:90]", "train[90:100]", "test"], 1),
        (known(train=100, valid=20), ["train[0:90]", "valid", "train[90:100]"], 1),
        (known(train=100), ["train[0:80]", "train[80:90]", "train[90:100]"], 2),
    ],
)
def test_usual_names_are_found_and_the_rest_is_held_out(splits, expected, num_held_out):
    chosen, notes = choose(splits)
    assert list(chosen.values()) == expected
    assert len(notes) == num_held_out
    for note in notes:
        assert "are held out" in note


def test_no_image_both_trains_and_validates():
    splits = known(train=1000, test=20)
    chosen, _ = choose(splits, train="train")
    assert chosen["train"] == "train[0:900]"
    chosen, _ = choose(splits, train="train[:50%]")
    # The rest of the split validates.
    assert (chosen["train"], chosen["validation"]) == ("train[:50%]", "train[900:1000]")
    chosen, _ = choose(splits, train="train[:98%]")
    assert (chosen["train"], chosen["validation"]) == ("train[:98%]", "train[980:1000]")


def test_given_splits_are_taken_as_they_are():
    given = {"train": "train+extra", "validation": "train[:10]", "test": "extra"}
    splits = known(train=100, extra=10)
    assert choose(splits, **given) == (given, [])
    assert ranges(splits, "train[:10%]+extra") == [("train", 0, 10), ("extra", 0, 10)]


@pytest.mark.parametrize(
    "splits, given, message",
    [
        (known(a=9, test=9), {}, "no split to train on. There are: a, test"),
        (known(train=9), {"test": "other"}, "no split 'other'. There are: train"),
        (known(train=9), {"test": "train[9:]"}, r"'train\[9:\]' is empty"),
        (known(train=9, b=9), {"train": "train+b"}, "Give --validation_split"),
        (known(train=2), {}, "too few images"),
    ],
)
def test_errors(splits, given, message):
    with pytest.raises(ValueError, match=message):
        choose(splits, **given)
