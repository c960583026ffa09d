"""A folder of image files: its splits, its classes, and what belongs to neither."""

import collections
import dataclasses
import hashlib
import os
import pathlib
import stat
import unicodedata

from savedmodel_export.image_names import begins_as_image, has_image_name, is_system

# What folders of splits are called, by people and by other programs.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
NUM_SHOWN = 20
BAD_IMAGES = "bad images"


@dataclasses.dataclass(frozen=True)
class Folder:
    """What was found in a folder.

    Attributes:
        root: `pathlib.Path`.
        class_names: tuple of str, the classes that have files to train on, sorted.
        files: dict, split -> list of (path, index of the class). The names are
            those of the folders, or `train` where the classes stand in the root.
        left_out: dict, reason -> list of paths.
    """

    root: pathlib.Path
    class_names: tuple
    files: dict
    left_out: dict

    def without(self, bad_files):
        """Returns the folder without some files, left out as bad images.

        Raises:
            ValueError: if a class has no more images to train on.
        """
        files = {
            split: [file for file in found if file[0] not in bad_files]
            for split, found in self.files.items()
        }
        left_out = {**self.left_out, BAD_IMAGES: sorted(bad_files)}
        trained = {label for _, label in files[usual_split(files, "train")]}
        for label, name in enumerate(self.class_names):
            if label not in trained:
                raise ValueError(
                    f"No image of the class {name} in {self.root} can be decoded."
                )
        files = {split: found for split, found in files.items() if found}
        return dataclasses.replace(self, files=files, left_out=left_out)

    def part(self, split, start, stop):
        """Returns (path, label) of a slice of a split.

        Names alone decide what is in it: about its share of each class, in an order
        as if drawn at random, and hardly anything else when files are added.
        """
        of_class = collections.defaultdict(list)
        for path, label in self.files[split]:
            of_class[label].append((_draw(path.relative_to(self.root)), path))
        placed = []
        for label, drawn in of_class.items():
            first = _draw(self.class_names[label])
            for rank, (draw, path) in enumerate(sorted(drawn)):
                placed.append(((rank + first) / len(drawn), draw, path, label))
        taken = sorted(drawn[1:] for drawn in sorted(placed)[start:stop])
        return [(path, label) for _, path, label in taken]

    def name_of(self, path):
        """Returns a path in this folder as text that can be printed anywhere."""
        name = os.fsencode(path.relative_to(self.root))
        return name.decode(errors="backslashreplace")

    def description(self):
        """Returns lines of text: images of each class, and what is left out."""
        lines = []
        for split, files in self.files.items():
            numbers = collections.Counter(label for _, label in files)
            shown = [
                f"{name} {numbers[label]}"
                for label, name in enumerate(self.class_names[:NUM_SHOWN])
            ]
            others = range(len(shown), len(self.class_names))
            if others:
                rest = [numbers[label] for label in others]
                shown.append(
                    f"{len(rest)} more classes {min(rest)} to {max(rest)} each"
                )
            lines.append(f"{split}: {', '.join(shown)}")
        for reason, paths in self.left_out.items():
            named = ", ".join(self.name_of(path) for path in paths[:3])
            more = ", ..." if len(paths) > 3 else ""
            lines.append(f"left out {len(paths)} {reason}: {named}{more}")
        return lines


def _draw(name):
    """Returns a number in [0, 1) that a name decides, as if drawn at random."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:6]) / 2**48


def usual_split(names, part):
    """Returns the name among `names` that a part usually has, or `""`."""
    usual = SPLIT_NAMES[part]
    found = {name.lower(): name for name in names}
    return next((found[name] for name in usual if name in found), "")


def read_folder(root, min_classes=2):
    """Finds the images of a folder.

    `root/<split>/<class>/` where a folder of `root` is called `train` and has folders
    of its own, or else `root/<class>/`. A class's images may stand in folders inside.

    Args:
        root: path.
        min_classes: int. 1 where nobody looks at the classes.

    Raises:
        ValueError: if there is no such folder, it cannot be read, or holds fewer
            classes of images.
    """
    root = pathlib.Path(root).expanduser()
    if not root.is_dir():
        raise ValueError(f"--dataset=folder:{root}: no such folder.")
    left_out = collections.defaultdict(list)
    top = _folders(root, left_out)
    has_splits = _has_splits(top)
    splits = top if has_splits else {"train": root}
    found = {}
    for split, path in splits.items():
        classes = _folders(path, left_out) if has_splits else top
        found[split] = {
            name: _images(folder, left_out) for name, folder in classes.items()
        }
    class_names = _class_names(splits, found, left_out)
    if len(class_names) < min_classes:
        raise ValueError(
            f"{root} holds images to train on of {len(class_names)} classes: "
            f"{', '.join(class_names) or 'none'}. Expected {min_classes} or more, as "
            f"{root}/<class>/<image> or {root}/<split>/<class>/<image>, such as "
            f"{root}/train/cat/1.jpg."
        )
    files = {}
    for split, classes in found.items():
        pairs = [
            (path, class_names.index(name))
            for name, paths in classes.items()
            if name in class_names
            for path in paths
        ]
        if pairs:
            files[split] = pairs
    return Folder(root, class_names, files, dict(left_out))


def _has_splits(top):
    """Whether folders, name -> path, are splits, not classes."""
    splits = [name for name, path in top.items() if _folders(path, {})]
    usual = {name for names in SPLIT_NAMES.values() for name in names}
    named = [name for name in top if name.lower() in usual]
    if top and len(named) == len(top) and not splits:
        raise ValueError(
            f"The folders {', '.join(top)} are named as splits and hold no folders of "
            "classes. Expected images in <split>/<class>/, such as "
            f"{next(iter(top))}/cat/1.jpg."
        )
    has_train = any(name.lower() in SPLIT_NAMES["train"] for name in splits)
    flat = [
        name
        for name, path in top.items()
        if name not in splits and name not in named and _holds_images(path)
    ]
    if has_train and flat:
        raise ValueError(
            f"Beside the folder of training images {', '.join(flat[:3])} hold images, "
            "too, as classes do. Expected folders of splits alone, or of classes: "
            "rename or move them."
        )
    return has_train or (bool(splits) and len(splits) == len(top) == len(named))


def _class_names(splits, found, left_out):
    """Returns the names of the classes that there are images to train on."""
    train = found.get(usual_split(found, "train"), {})
    named = {name for name, paths in train.items() if paths}
    for split, classes in found.items():
        for name, paths in classes.items():
            if not paths:
                left_out["empty folders of classes"].append(splits[split] / name)
            elif name not in named:
                left_out["images of classes that have none to train on"] += paths
    _check_names({name for classes in found.values() for name in classes})
    return tuple(sorted(named))


def _check_names(names):
    alike = collections.defaultdict(set)
    for name in names:
        same = unicodedata.normalize("NFC", name).casefold()
        alike[" ".join(same.split())].add(name)
        if not name.isprintable():
            raise ValueError(
                f"The name of the class {name!r} has characters that cannot be "
                "printed. Rename its folder."
            )
    for same in alike.values():
        if len(same) > 1:
            raise ValueError(
                f"The classes {', '.join(map(repr, sorted(same)))} differ in "
                "upper case, spaces or accents' code only. Rename or merge them."
            )


def _folders(path, left_out):
    """Returns dict, name -> path of the folders to look into."""
    folders = {}
    for child in _children(path):
        if child.is_dir():
            if is_system(child.name):
                _leave_out(left_out, "hidden or system folders", child)
            else:
                folders[child.name] = child
        elif not is_system(child.name):
            _leave_out(left_out, "files beside the folders of classes", child)
    return folders


def _images(folder, left_out, above=()):
    """Returns the images of a class, also of folders inside."""
    # A link may lead back to where it stands.
    if (real := folder.resolve()) in above:
        _leave_out(left_out, "links to a folder around them", folder)
        return []
    images = []
    for path in _children(folder):
        if is_system(path.name):
            _leave_out(left_out, "hidden or system files", path)
        elif path.is_dir():
            images += _images(path, left_out, (*above, real))
        elif path.exists() and not stat.S_ISREG(path.stat().st_mode):
            _leave_out(left_out, "no regular files", path)
        elif has_image_name(path.name) or begins_as_image(path):
            images.append(path)
        else:
            _leave_out(left_out, "files of other kinds", path)
    return images


def _holds_images(folder):
    return any(has_image_name(path.name) for path in _children(folder))


def _children(folder):
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise ValueError(f"{folder} cannot be read: {error.strerror}.") from error


def _leave_out(left_out, reason, path):
    left_out.setdefault(reason, []).append(path)
