"""From finished files to a published version: the same steps for every format."""

import contextlib

from absl import logging

from keras_concatplexer.arguments import positive_int
from savedmodel_export.model_card import read_model_card
from savedmodel_export.publishing import (
    exclusive,
    prune,
    publish,
    sync,
    unfinished_version,
    versions,
    writing,
)
from savedmodel_export.serving.configuration import (
    check_serving_files,
    configure,
    named_versions,
)


@contextlib.contextmanager
def new_version(
    export_dir,
    *,
    file_format,
    mixes_images,
    keep=None,
    serving_files=False,
    change_mixing=False,
):
    """Yields a folder to fill; publishes it as the next version at the end.

    Whatever would keep the version from being published is checked before the folder
    is yielded. Nothing is published if the block raises.

    Args:
        export_dir: folder of the versions; made if missing.
        file_format: str, which all versions in a folder must have.
        mixes_images: bool. Whether the model's answer for an image depends on others.
        keep: int or `None`. Versions to keep, this one included; `None` keeps all.
            Those that `models.config` names stay in any case.
        serving_files: bool. Whether to write the server's files, too.
        change_mixing: bool. Whether the version may mix images where the versions
            before it do not, or the other way round.

    Yields:
        `Release`; its `version` is there after the block.

    Raises:
        ValueError: if the version cannot be published.
    """
    if keep is not None:
        positive_int("keep", keep)
    release = Release()

    def check(export_dir):
        if serving_files:
            check_serving_files(export_dir)
        for number in versions(export_dir):
            card = read_model_card(f"{export_dir}/{number}")
            _check_format(card, file_format, number, export_dir)
            if not change_mixing:
                _check_mixing(card, mixes_images, number, export_dir)

    with unfinished_version(export_dir) as release.folder:
        check(export_dir)
        yield release
        with writing(export_dir):
            sync(release.folder)
        with exclusive(export_dir) as root:
            check(root)
            with writing(root):
                release.version = publish(release.folder, root)
            if serving_files:
                _configure(root, release.version)
            if keep is not None:
                _prune(root, keep)


class Release:
    """A version on its way: `folder` while it is built, then `version`."""

    folder = None
    version = None


def _check_format(card, file_format, number, export_dir):
    before = card.get("format", file_format)
    if before != file_format:
        raise ValueError(
            f"Version {number} in {export_dir} has the format {before}, the new one "
            f"{file_format}. Give each format a folder of its own."
        )


def _check_mixing(card, mixes_images, number, export_dir):
    if card.get("mixes_images", mixes_images) == mixes_images:
        return
    kinds = ("does not mix images", "mixes images")
    raise ValueError(
        f"Version {number} in {export_dir} {kinds[not mixes_images]}, the new one "
        f"{kinds[mixes_images]}. A server that joins the requests of clients could go "
        "from one to the other while it runs, and answer with strangers' images in a "
        "group. Export into another folder, or allow it (change_mixing=True, "
        "--change_mixing)."
    )


def _configure(root, version):
    try:
        configure(root)
    except ValueError as error:
        raise ValueError(
            f"{version} is published, but the server does not know it yet. {error} "
            f"Mend that and run: python -m savedmodel_export.serving {root}"
        ) from error


def _prune(root, keep):
    try:
        prune(root, keep, named_versions(root))
    except (OSError, ValueError) as error:
        # The new version is there all the same.
        logging.warning("Old versions in %s stay: %s", root, error)
