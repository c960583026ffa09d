import os
import pathlib
import subprocess
import sys

import pytest

from savedmodel_export.client import inputs
from savedmodel_export.client.inputs import UnreadableError, find_images, read_image


@pytest.fixture
def folder(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt", "sub/c.webp", "sub.png/d.gif"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "images"


def names(folder, files):
    return [str(path.relative_to(folder)) for path in files]


def test_a_folder_in_the_order_of_names(folder):
    files, unread = find_images([folder])
    assert names(folder, files) == ["a.jpg", "b.PNG", "sub/c.webp", "sub.png/d.gif"]
    assert unread == []


def test_what_training_takes_is_answered_too(folder):
    contents = {
        "photo.jfif": b"x",
        "scan.tif": b"x",
        "without name": b"\xff\xd8\xff",
        "._a.jpg": b"of a Mac",
        ".hidden/z.jpg": b"x",
        "Thumbs.db": b"\xff\xd8\xff",
    }
    for name, content in contents.items():
        path = folder / "sub" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    files, _ = find_images([folder / "sub"])
    expected = ["c.webp", "photo.jfif", "scan.tif", "without name"]
    assert names(folder / "sub", files) == expected


def test_files_as_they_are_named_each_once(folder):
    files, _ = find_images([folder / "notes.txt", folder / "b.PNG", folder])
    assert names(folder, files)[:3] == ["notes.txt", "b.PNG", "a.jpg"]
    assert len(files) == 5


def test_nothing_there(tmp_path):
    with pytest.raises(ValueError, match="nothing does not exist"):
        find_images([tmp_path / "nothing"])
    with pytest.raises(ValueError, match="An empty path"):
        find_images([""])
    with pytest.raises(ValueError, match="holds no image .*png"):
        find_images([tmp_path])


def test_home(monkeypatch, folder):
    monkeypatch.setenv("HOME", str(folder))
    assert names(folder, find_images(["~/sub"])[0]) == ["sub/c.webp"]
    with pytest.raises(ValueError, match="~nobody-of-this-name"):
        find_images(["~nobody-of-this-name/x"])


def test_links(folder):
    (folder / "loop").symlink_to(folder)
    (folder / "itself.png").symlink_to("itself.png")
    (folder / "gone.png").symlink_to("nowhere")
    (folder / "good.png").symlink_to("b.PNG")
    files, unread = find_images([folder])
    assert names(folder, files)[2:5] == ["gone.png", "good.png", "itself.png"]
    assert unread == [(folder / "loop", "a link to a folder, which is not followed")]
    assert read_image(folder / "good.png") == b"x"
    for name, reason in (("itself.png", "symbolic links"), ("gone.png", "No such")):
        with pytest.raises(UnreadableError, match=reason):
            read_image(folder / name)


def test_what_is_no_image_file(folder, monkeypatch):
    os.mkfifo(folder / "pipe.png")
    (folder / "empty.png").touch()
    assert "pipe.png" in names(folder, find_images([folder])[0])
    monkeypatch.setattr(inputs, "MAX_FILE_BYTES", 10)
    (folder / "ten.png").write_bytes(b"x" * 10)
    (folder / "eleven.png").write_bytes(b"x" * 11)
    assert len(read_image(folder / "ten.png")) == 10
    for name, reason in (
        ("pipe.png", "not a regular file"),
        ("empty.png", "empty file"),
        ("eleven.png", "more than 10 bytes"),
        ("sub", "not a regular file|Is a directory"),
        ("x\0.png", "null"),
    ):
        with pytest.raises(UnreadableError, match=reason):
            read_image(folder / name)


def test_a_large_file_is_not_read_whole(tmp_path):
    with open(tmp_path / "large.png", "wb") as file:
        file.truncate(2**33)
    program = f"""
import resource
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
from savedmodel_export.client.inputs import UnreadableError, read_image
try:
    read_image({str(tmp_path / "large.png")!r})
except UnreadableError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "more than 67108864 bytes\n"


def test_what_may_not_be_read(tmp_path, monkeypatch):
    # As root everything may be read, so the refusals come from here.
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.png").write_bytes(b"x")
    real_scandir, real_open = os.scandir, os.open

    def scandir(path):
        if pathlib.Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return real_scandir(path)

    def open_(path, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", scandir)
    files, unread = find_images([tmp_path])
    assert files == [tmp_path / "a.png"]
    assert unread == [(tmp_path / "closed", "Permission denied")]
    # A folder with nothing else is an error of its own, not an empty folder.
    assert find_images([tmp_path / "closed"])[1] == unread
    monkeypatch.setattr(os, "open", open_)
    with pytest.raises(UnreadableError, match="Permission denied"):
        read_image(tmp_path / "a.png")
    monkeypatch.setattr(os, "open", real_open)
