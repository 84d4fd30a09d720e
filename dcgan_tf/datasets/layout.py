"""Classes and splits, from the names of the folders that hold the images."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Collection
from pathlib import PurePosixPath

from dcgan_tf.conditional.labels import ALL_CLASSES, normalize_name
from dcgan_tf.datasets.disk_images import Split
from dcgan_tf.datasets.extensions import count_extensions, readable
from dcgan_tf.datasets.image_files import Files
from dcgan_tf.settings.errors import UserError

Parts = tuple[str, ...]

SPLIT_NAME = re.compile(
    r"((?P<train>train|training)|(?P<test>val|valid|validation|dev|test|testing))"
    r"([ _-]?(set|data|split|images|[0-9]+))?"
)
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


def parts_of(name: str) -> Parts:
    """The folders on the path of a file."""
    return PurePosixPath(name).parent.parts


def count_shared(folders: Collection[Parts]) -> int:
    """The number of leading folders that all paths share."""
    first, last = min(folders), max(folders)
    return len([*itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last))])


def split_of(folder: str) -> Split | None:
    """The split that a folder's name stands for, or None; "test" is held out from training."""
    match = SPLIT_NAME.fullmatch(folder.casefold())
    return None if match is None else "train" if match["train"] else "test"


def looks_like_splits(folders: Collection[str]) -> bool:
    """Whether some folder names contain words for splits, such as trainA and testA."""
    words = {split_of(word) for folder in folders for word in WORD.findall(folder)}
    return words >= {"train", "test"} or sum(split_of(folder) is not None for folder in folders) > 1


def split_level(files: Files) -> int | None:
    """The position of the folder that names the split: 0 in train/cat, 1 in cat/train.

    None if not every path has one, or under reading 1, which ignores splits.
    """
    if files.reading == 1:
        return None
    folders = {parts_of(name) for name in files.names}
    shared = count_shared(folders)
    for level in (shared, shared + 1):
        if any(len(parts) <= level for parts in folders):
            return None
        if {split_of(parts[level]) for parts in folders} == {"train", "test"}:
            return level
    return None


def held_out_folders(files: Files) -> list[str]:
    """The names of the folders whose images are held out, if folders name the splits."""
    level = split_level(files)
    if level is None:
        return []
    names = {parts_of(name)[level] for name in files.names}
    return sorted(name for name in names if split_of(name) == "test")


def unclear_folders(files: Files) -> list[str]:
    """The names of top folders that look like splits but are not treated as splits."""
    folders = {parts_of(name) for name in files.names}
    shared = count_shared(folders)
    names = {parts[shared] for parts in folders if len(parts) > shared}
    return sorted(names) if split_level(files) is None and looks_like_splits(names) else []


def class_folders(files: Files) -> dict[str, str]:
    """The class of each image: the first folder on its path that not all images share.

    Left-out pictures of a class are included. Folders that name splits are ignored. From reading 2
    on, names that are equal after Unicode normalization are one class.

    Raises:
        UserError: an image is not in a class folder, a class has no readable image, or only some
            folders name splits.
    """
    level = split_level(files)

    def without_split(name: str) -> Parts:
        parts = parts_of(name)
        return parts if level is None else parts[:level] + parts[level + 1 :]

    folders = {name: without_split(name) for name in files.names}
    shared = count_shared(folders.values())
    unread = {name: without_split(name) for name in files.left_out}
    if files.reading > 1:
        deep = {name: parts for name, parts in unread.items() if len(parts) >= max(shared, 1)}
        shared = min(shared, count_shared([*folders.values(), *deep.values()]))
        check_splits(files, {parts[shared] for parts in folders.values() if len(parts) > shared})
        check_unread(files, folders, deep, shared)
    for name, parts in folders.items():
        if len(parts) == shared:
            raise UserError(
                f"`data_dir` {files.source}: {readable(name)} is not in a class folder: put "
                f"labeled images into two or more folders, one for each class"
            )
        if parts[shared] == ALL_CLASSES:
            raise UserError(
                f"`data_dir` {files.source}: a class can't be called {ALL_CLASSES}, because "
                f"`label` {ALL_CLASSES} means every class: rename its folder"
            )
    classes = {name: class_name(parts[shared], files.reading) for name, parts in folders.items()}
    known = {*classes.values()}
    for name, parts in unread.items():
        if len(parts) > shared and class_name(parts[shared], files.reading) in known:
            classes[name] = class_name(parts[shared], files.reading)
    return classes


def class_name(folder: str, reading: int) -> str:
    return readable(folder if reading == 1 else normalize_name(folder))


def check_splits(files: Files, names: set[str]) -> None:
    """Checks that class names do not look like splits; a single one may be a class, such as trains.

    Raises:
        UserError: several do.
    """
    if looks_like_splits(names):
        shown = ", ".join([*map(readable, sorted(names)[:5]), *["…"] * (len(names) > 5)])
        raise UserError(
            f"`data_dir` {files.source} has the folders {shown}, some named like splits and some "
            f"like classes: use a folder that has only train and test in it, each with a folder "
            f"for each class"
        )


def check_unread(
    files: Files, folders: dict[str, Parts], unread: dict[str, Parts], shared: int
) -> None:
    """Checks that every class has a picture that is read.

    Raises:
        UserError: one has none.
    """
    read, named = (
        {parts[shared] for parts in some.values() if len(parts) > shared}
        for some in (folders, unread)
    )
    empty = sorted(named - read)
    if empty:
        names = [name for name, parts in unread.items() if parts[shared:][:1] == (empty[0],)]
        raise UserError(
            f"`data_dir` {files.source}: no picture of {readable(empty[0])} can be read "
            f"({count_extensions(names)}): save them as PNG or JPEG, or remove the folder"
        )


def hash_of(name: str, reading: int) -> int:
    """A hash of a name, below 2⁶⁴; from reading 2 on, the same for all its Unicode forms."""
    name = name if reading == 1 else normalize_name(name)
    content = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
    return int.from_bytes(content[:8], "big")


def pick_split(files: Files, held_out: float, split: Split, conditional: bool = False) -> Files:
    """The files of one split: by their folders, or by a hash of their names.

    With the hash, adding images does not move others to another split. From reading 2 on, a class
    whose images would all be held out keeps one to train on.

    Raises:
        UserError: the split is empty.
    """
    limit = held_out * 2**64
    tested = {name for name in files.names if hash_of(name, files.reading) < limit}
    level = split_level(files)
    if level is not None:
        tested = {name for name in files.names if split_of(parts_of(name)[level]) == "test"}
    elif files.reading > 1 and tested:
        tested -= kept_for_training(files, tested, conditional)
    names = [name for name in files.names if (name in tested) == (split == "test")]
    if not names:
        purpose = "to train on" if split == "train" else "to compare with"
        raise UserError(
            f"`data_dir` {files.source}: `held_out` {held_out} leaves none of its "
            f"{len(files.names):,} images {purpose}"
        )
    return files._replace(names=names)


def kept_for_training(files: Files, tested: set[str], conditional: bool) -> set[str]:
    """One image of each class whose images would all be held out."""
    classes = class_folders(files) if conditional else dict.fromkeys(files.names, "")
    trained = {classes[name] for name in files.names if name not in tested}
    kept = {}
    for name in sorted(tested, key=lambda name: hash_of(name, files.reading)):
        if classes[name] not in trained:
            kept[classes[name]] = name
    return {*kept.values()}
