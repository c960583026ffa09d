"""Which files of a folder are images, for all that reads folders.

Nothing here imports Keras or TensorFlow: a client needs neither.
"""

# What TensorFlow decodes.
IMAGES = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".webp")
# Images that TensorFlow cannot decode: not to be passed over in silence.
OTHER_IMAGES = (
    *(".arw", ".avif", ".cr2", ".dng", ".heic", ".heif", ".jp2", ".jxl", ".nef"),
    *(".pbm", ".pgm", ".pnm", ".ppm", ".psd", ".svg", ".tga", ".tif", ".tiff"),
)
SYSTEM_FILES = ("__macosx", "desktop.ini", "thumbs.db")


def is_system(name):
    """Whether a file or folder is hidden, or a system's own."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def has_image_name(name):
    """Whether a file is called as an image, one that can be decoded or not."""
    return name.lower().endswith((*IMAGES, *OTHER_IMAGES))


def begins_as_image(path):
    """Whether a file without the name of an image is one.

    Args:
        path: `pathlib.Path`. A pipe is not opened.
    """
    magics = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8")
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head.startswith(magics) or (head[:4], head[8:]) == (b"RIFF", b"WEBP")
