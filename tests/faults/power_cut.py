"""The states that a power cut may leave a folder in, as strace records a command's changes to it.

The disk has everything that was flushed (`fsync`). It may have any part of the rest:

- of a file's bytes: all, some, none, or zeros in their place;
- of the names that were made, moved and deleted: any of these changes without the others, but for
  earlier ones of the same names. ext4 and XFS keep them all in order, so that some of what is tried
  can't happen on them.
"""

import os
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

TRACED = (
    "openat,creat,/mkdir,/rename,/unlink,rmdir,/link,/^p?write,ftruncate,truncate,lseek,fallocate,"
    "sendfile,copy_file_range,fsync,fdatasync,/dup,fcntl"
)
CALL = re.compile(r"\d+ +(\w+)\((.*)\) += (\d+)")
UNFINISHED = re.compile(r"(\d+) .* <unfinished \.\.\.>\n")
RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>")
IN_HEX = re.compile(r'["<]((?:\\x..)+)[">]')
UNCHANGING = ("lseek", "fcntl")
WAYS = 7  # in which unflushed bytes may be lost


class Call(NamedTuple):
    """A successful system call: its name, its arguments as strace prints them, its result."""

    name: str
    arguments: list[str]
    result: int

    def bytes_of(self, index):
        """The argument as a string: text, or the path of a file descriptor."""
        found = IN_HEX.search(self.arguments[index])
        return bytes.fromhex(found[1].replace("\\x", "")) if found else b""

    def number(self, index):
        """The argument as an integer."""
        return int(self.arguments[index].split("<")[0])

    def paths(self):
        """The paths in the arguments, or that of the file descriptor."""
        folder, paths = b"", []
        for index, argument in enumerate(self.arguments):
            if '"' in argument and "write" not in self.name:
                paths.append(os.path.join(folder, self.bytes_of(index)))
            elif "<" in argument:
                folder = self.bytes_of(index)
        return [Path(os.fsdecode(path)) for path in paths or [folder]]


def record(command, folder, trace):
    """Runs a command under strace, and returns its calls on a folder or anything in it."""
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", str(2**28), "-o", trace]
    options = ["-e", "signal=none", "-e", f"trace={TRACED}"]
    subprocess.run([*strace, *options, *command], check=True, stdout=subprocess.DEVNULL)
    folder_in_hex = "".join(f"\\x{byte:02x}" for byte in os.fsencode(folder))
    calls, unfinished = [], {}
    with open(trace) as lines:
        for line in lines:
            if first := UNFINISHED.fullmatch(line):
                unfinished[first[1]] = line.removesuffix(" <unfinished ...>\n")
                continue
            if rest := RESUMED.match(line):
                line = unfinished.pop(rest[1]) + line[rest.end() :]
            if folder_in_hex in line and (found := CALL.match(line)):
                call = Call(found[1], found[2].split(", "), int(found[3]))
                if any(path.is_relative_to(folder) for path in call.paths()):
                    calls.append(call)
    return calls


class File:
    """The bytes of a file: those that programs read, and those that are on the disk for certain."""

    def __init__(self, content=b""):
        self.written = self.flushed = content

    def after_power_cut(self):
        """The bytes that may remain, in WAYS: all, what was flushed, and worse."""
        kept = self.flushed if self.written.startswith(self.flushed) else b""
        rest = self.written[len(kept) :]
        half, zeros = len(rest) // 2, bytes(len(rest))
        worse = [b"", rest[:half], zeros, rest[:half] + zeros[half:], zeros[:half] + rest[half:]]
        return [self.written, self.flushed, *(kept + end for end in worse)]


class Opened:
    """An open file, positioned at the start, or always at the end."""

    def __init__(self, file, appends):
        self.file, self.appends, self.position = file, appends, 0

    def write(self, content):
        before = self.file.written
        start = len(before) if self.appends else self.position
        self.position = start + len(content)
        self.file.written = before[:start].ljust(start, b"\0") + content + before[self.position :]


class Folder(File):
    """A folder, in the place of a file."""

    def __init__(self):
        self.written = None

    def after_power_cut(self):
        return [None] * WAYS


FOLDER, DELETED = Folder(), None


class PowerCut(NamedTuple):
    """A moment, and one of the folders that a power cut may leave then.

    Attributes:
        call: the last that was done.
        seen: what programs saw before it: the bytes of each file, None for a folder.
        left: what the disk has, in the same form.
    """

    call: Call
    seen: dict[Path, bytes | None]
    left: dict[Path, bytes | None]

    def lay(self, folder):
        """Restores what remains into the recorded folder."""
        shutil.rmtree(folder)
        folder.mkdir()
        for path in sorted(self.left):
            content = self.left[path]
            path.mkdir() if content is None else path.write_bytes(content)


def contents(folder):
    """The content of a folder, in the form of a `PowerCut`."""
    return {path: None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


class Disk:
    """A folder that system calls change, with some changes flushed.

    Args:
        folder: the one that was recorded; it was there before.
        before: what was in it, all of it flushed.
    """

    def __init__(self, folder, before):
        self.folder = folder
        self.flushed = {
            path: FOLDER if content is None else File(content) for path, content in before.items()
        }
        self.names = dict(self.flushed)
        self.unflushed = []  # changes of names, {path: file}, oldest first
        self.open = {}  # by the number of the file descriptor

    def do(self, call):
        """Repeats a system call."""
        paths = call.paths()
        if call.name == "openat":
            self._open(call, *paths)
        elif call.name == "write":
            self.open[call.number(0)].write(call.bytes_of(1)[: call.result])
        elif call.name == "ftruncate":  # never to more bytes than there are
            file = self.open[call.number(0)].file
            file.written = file.written[: call.number(1)]
        elif call.name == "lseek":
            self.open[call.number(0)].position = call.result
        elif call.name == "fcntl":
            if "F_DUPFD" in call.arguments[1]:
                self.open[call.result] = self.open[call.number(0)]
        elif call.name.startswith("mkdir"):
            self._change({paths[0]: FOLDER})
        elif call.name.startswith("rename"):
            self._change({paths[0]: DELETED, paths[1]: self.names[paths[0]]})
        elif call.name.startswith(("unlink", "rmdir")):
            self._change({paths[0]: DELETED})
        elif call.name in ("fsync", "fdatasync"):
            self._flush(*paths)
        else:
            raise NotImplementedError(call.name)

    def _open(self, call, path):
        flags = call.arguments[2].split("|")
        if path not in self.names and "O_CREAT" in flags:
            self._change({path: File()})
        file = self.names.get(path, FOLDER)
        if "O_TRUNC" in flags:
            file.written = b""
        self.open[call.result] = Opened(file, "O_APPEND" in flags)

    def _change(self, change):
        self.unflushed.append(change)
        apply(self.names, [change])

    def _flush(self, path):
        file = self.names.get(path, FOLDER)
        if file is not FOLDER:
            file.flushed = file.written
            return
        within = [any(name.parent == path for name in change) for change in self.unflushed]
        chosen = self.with_earlier(within)
        apply(self.flushed, [change for change, is_in in zip(self.unflushed, chosen) if is_in])
        self.unflushed = [change for change, is_in in zip(self.unflushed, chosen) if not is_in]

    def with_earlier(self, chosen):
        """Some of the unflushed changes (a bool for each), and earlier ones of their names."""
        names, all_chosen = set(), []
        for change, is_chosen in zip(reversed(self.unflushed), reversed(chosen)):
            all_chosen.append(is_chosen or not names.isdisjoint(change))
            names |= change.keys() if all_chosen[-1] else set()
        return all_chosen[::-1]

    def after_power_cut(self, rng):
        """A state that a power cut may leave now: each file's bytes, None for a folder."""
        count = len(self.unflushed)
        picked = rng.randrange(count) if count else None
        one = [i == picked for i in range(count)]
        parts = [[True] * count, [False] * count, one, [not is_it for is_it in one]]
        parts.append([rng.random() < 0.5 for _ in one])
        part = self.with_earlier(rng.choice(parts))
        names = dict(self.flushed)
        apply(names, [change for change, is_in in zip(self.unflushed, part) if is_in])
        way, left = rng.choice([*range(WAYS), None]), {}
        for path in sorted(names):
            if path.parent == self.folder or left.get(path.parent, b"") is None:  # it is not lost
                ways = names[path].after_power_cut()
                left[path] = ways[rng.randrange(WAYS) if way is None else way]
        return left

    def seen(self):
        """The state that programs see: the bytes of each file, None for a folder."""
        return {path: file.written for path, file in self.names.items()}


def apply(names, changes):
    """Applies changes of names."""
    for change in changes:
        for path, file in change.items():
            if file is DELETED:
                names.pop(path, None)
            else:
                names[path] = file


def power_cuts(calls, folder, before, tries):
    """Different power cuts after each call, found by random tries.

    Args:
        calls: what `record` returned.
        folder: the one that was recorded.
        before: its `contents` before.
        tries: after each call.

    Returns:
        The `PowerCut`s, and the folder's contents in the end, as programs see them.
    """
    disk, rng, cuts = Disk(folder, before), random.Random(12), {}
    for call in calls:
        seen = disk.seen()
        disk.do(call)
        for _ in range(tries if call.name not in UNCHANGING else 0):
            left = disk.after_power_cut(rng)
            cuts[frozenset(left.items())] = PowerCut(call, seen, left)  # of equal ones the last
    return [*cuts.values()], disk.seen()
