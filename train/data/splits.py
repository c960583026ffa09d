"""Which images train, which pick the best epoch, and which give the result."""

import tensorflow_datasets as tfds

from .folders import usual_split

PARTS = ("train", "validation", "test")
HELD_OUT = 0.1


def choose_splits(known, given):
    """Chooses the split of each part, and holds images out where there is none.

    Args:
        known: dict, name -> `tfds.core.SplitInfo`.
        given: dict, part -> TFDS split, or `""` for the usual one: the split of a
            usual name, or else a tenth of the split that trains.

    Returns:
        dict, part -> TFDS split, and list of str, what was held out.

    Raises:
        ValueError: if a split does not exist or is empty.
    """
    chosen = {part: given[part] or usual_split(known, part) for part in PARTS}
    if not chosen["train"]:
        raise ValueError(
            f"There is no split to train on. There are: {', '.join(known)}. Give "
            "--train_split."
        )
    for split in filter(None, chosen.values()):
        if not sum(stop - start for _, start, stop in ranges(known, split)):
            raise ValueError(f"The split {split!r} is empty.")
    missing = [part for part in reversed(PARTS) if not chosen[part]]
    if not missing:
        return chosen, []
    pieces = ranges(known, chosen["train"])
    if len(pieces) > 1:
        raise ValueError(
            f"Nothing is held out of several splits. Give --{missing[-1]}_split, or "
            f"one --train_split. Received: --train_split={chosen['train']}"
        )
    ((name, start, stop),) = pieces
    num_images = known[name].num_examples
    number = max(round(HELD_OUT * (stop - start)), 1)
    # A slice is trained on as it is, if it leaves enough of its split.
    unused = (num_images - stop) // len(missing)
    end = num_images if unused else stop
    if unused:
        number = min(max(round(HELD_OUT * num_images), 1), unused)
    notes = []
    for part in missing:
        chosen[part] = f"{name}[{end - number}:{end}]"
        end -= number
        notes.append(
            f"There is no {part} split: {number} images of {name} are held out for "
            f"it, --{part}_split={chosen[part]}."
        )
    if end <= start:
        raise ValueError(f"{name} has too few images to hold {number} out of them.")
    if not unused:
        chosen["train"] = f"{name}[{start}:{end}]"
    return chosen, notes


def ranges(known, split):
    """Returns list of (name, first image, behind the last one) of a TFDS split."""
    try:
        pieces = tfds.core.ReadInstruction.from_spec(split).to_absolute(dict(known))
    except (KeyError, ValueError, AssertionError) as error:
        raise ValueError(
            f"There is no split {split!r}. There are: {', '.join(known)}. Set "
            "--train_split, --validation_split, --test_split."
        ) from error
    found = []
    for piece in pieces:
        images = range(known[piece.splitname].num_examples)[piece.from_ : piece.to]
        found.append((piece.splitname, images.start, images.stop))
    return found
