"""File names: which are pictures to read, which are other pictures, and which are hidden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

ARRAYS = (".npy", ".npz")


class Reading(NamedTuple):
    """A version of the rules for reading a folder's images, see `Config.reading`.

    Attributes:
        extensions: the file extensions that are read.
        formats: the Pillow formats that are read, whatever the extension.
        wanted: the formats, for messages.
    """

    extensions: tuple[str, ...]
    formats: tuple[str, ...]
    wanted: str


# Formats are left out if a file could run code, or holds something other than one picture.
READINGS = {
    1: Reading(
        (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"),
        ("PNG", "JPEG", "GIF", "BMP", "WEBP"),
        "PNG, JPEG, GIF, BMP or WebP",
    ),
    2: Reading(
        (
            *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo", ".gif", ".bmp"),
            *(".dib", ".webp", ".tif", ".tiff", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2"),
            *(".j2k", ".jpf", ".jpx", ".tga", ".pcx", ".sgi", ".qoi"),
        ),
        (
            *("PNG", "JPEG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "AVIF", "PPM", "JPEG2000"),
            *("PCX", "SGI", "QOI"),
        ),
        "PNG, JPEG, WebP, TIFF, AVIF, GIF, BMP, PPM, JPEG 2000, TGA, PCX, SGI or QOI",
    ),
}
NEWEST = max(READINGS)


def extensions(names: str) -> frozenset[str]:
    return frozenset(f".{name}" for name in names.split())


UNREAD = extensions(
    """heic heif hif jxl jxr wdp bpg svg svgz eps ai ps pdf psd psb xcf kra ora clip procreate
    afphoto ase aseprite piskel ico icns cur dds exr hdr emf wmf raw dng cr2 cr3 crw nef nrw arw srf
    sr2 orf rw2 raf pef srw x3f 3fr iiq dcm dicom ima nii mha mhd nrrd fits fit mat svs ndpi czi"""
)
PACKED = extensions("zip rar 7z tar gz tgz bz2 xz")

# Common next to pictures, and never pictures under a wrong name.
OTHERS = extensions(
    """txt csv tsv json jsonl xml html htm md yaml yml log ini db aae xmp url lnk py ipynb sh bat
    mp4 mov avi mkv webm mp3 wav tfrecord xlsx docx"""
)

# Folders of operating systems, NAS devices and tools; they hold copies of the user's pictures.
SYSTEM_FOLDERS = frozenset(
    (
        *("__macosx", "@eadir", "@tmp", "@recycle", "@recently-snapshot", "@sharebin"),
        *("@sharesnap", "#recycle", "#snapshot", "$recycle.bin", "recycler", "lost+found"),
        *("system volume information", "network trash folder", "temporary items", "_vti_cnf"),
        *("__pycache__", "thefindbycontentfolder", "thevolumesettingsfolder"),
        *("thumbnails.noindex",),
    )
)

SIGNATURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"\0\0\0\x0cjP  \r\n")
TIFF = (b"II*\0", b"MM\0*")  # many cameras' raw files start with it, too
HEIC = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"))


def is_hidden(name: str, reading: int) -> bool:
    """Whether a file or folder of this name is ignored, with everything in it."""
    if reading == 1:
        return name.startswith(".") or name == "__MACOSX"
    return name.startswith(".") or name.casefold() in SYSTEM_FOLDERS


def extension(name: str) -> str:
    """A file name's extension in lower case, with its dot; "" if there is none."""
    return PurePosixPath(name).suffix.lower()


def is_picture(head: bytes) -> bool:
    """Whether a file with these first bytes is a readable picture other than a TIFF."""
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return head.startswith(SIGNATURES) or is_webp or head[4:12] == b"ftypavif"


def count_extensions(names: Iterable[str]) -> str:
    """Counts of files by extension, such as "300 .heic, 2 .svg", the most frequent first."""
    counts = Counter(extension(name) or "without an extension" for name in names)
    shown = [f"{count:,} {kind}" for kind, count in counts.most_common(5)]
    return ", ".join([*shown, *["…"] * (len(counts) > 5)])


def readable(name: str) -> str:
    """A name cut to 200 characters, with line breaks and control characters escaped."""
    name = name if len(name) <= 200 else f"{name[:100]}…{name[-100:]}"
    return repr(name)[1:-1]
