"""Power cuts during a run that is recorded: from whatever the disk has then, the run goes on."""

import os
import random
import shutil
import subprocess

import pytest

from dcgan_tf.commands import train
from dcgan_tf.datasets.loading import load_images
from dcgan_tf.run.checkpoints import Checkpoints
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.errors import UserError
from dcgan_tf.training import Trainer
from tests.conftest import finish, train_command, write_idx
from tests.faults.power_cut import contents, power_cuts, record
from tests.forks import left_over
from tests.test_resume import assert_same_run

pytestmark = pytest.mark.skipif(
    not shutil.which("strace") or subprocess.run(["strace", "-o", os.devnull, "true"]).returncode,
    reason="strace is not installed, or not allowed here",
)

SMALL = ["--base_filters=2", "--noise_dim=10"]


class Recording:
    """A run that was never stopped, and what power cuts may leave of it.

    Args:
        folder: where to put it.
        digits_dir: the images.
        flags: of the run.
        first_steps: those taken before the recording begins.
    """

    def __init__(self, folder, digits_dir, *flags, first_steps=None):
        self.disk = folder / "disk"
        self.disk.mkdir()
        self.run_dir = self.disk / "runs" / "run"
        self.command = train_command(self.run_dir, digits_dir, *SMALL, *flags)
        if first_steps:
            assert finish([*self.command, f"--max_steps={first_steps}"])[0] == 0
        before = contents(self.disk)
        self.calls = record(self.command, self.disk, folder / "trace")
        self.cuts, seen = power_cuts(self.calls, self.disk, before, tries=4)
        assert seen == contents(self.disk)  # the recording is complete
        self.whole = folder / "whole"
        shutil.copytree(self.run_dir, self.whole)
        config, _ = RunDirectory(self.whole).read_config()
        self.trainer = Trainer(config, load_images(config))
        self.checkpoints = Checkpoints(RunDirectory(self.run_dir).checkpoints, self.trainer.state)

    def saved(self, cut):
        """The newest step that was saved before a power cut."""
        named = cut.seen.get(self.run_dir / "checkpoints" / "checkpoint", b'ckpt-0"')
        return int(named.split(b"ckpt-")[1].split(b'"')[0])

    def keeps(self, cut):
        """Whether what was saved can be restored from what a power cut left, or what came later."""
        cut.lay(self.disk)
        try:
            step = self.checkpoints.restore() or 0
        except UserError:
            return False
        return step >= self.saved(cut) and step in (0, self.trainer.step)

    def goes_on(self, cut, run_main):
        """Goes on with what a power cut left, and compares the end with the run's own."""
        cut.lay(self.disk)
        code, out, err = run_main(train, *self.command[2:])
        assert code == 0 and "Traceback" not in err, cut.call
        start = int(out.split("resumed after step ")[1].split(",")[0]) if "resumed" in out else 0
        assert start >= self.saved(cut), cut.call
        assert left_over(self.run_dir) == [], cut.call
        assert_same_run(self.run_dir, self.whole)
        for evaluated in ("checkpoints/best", "evaluations.png"):
            if (self.whole / evaluated).exists():
                same = (self.whole / evaluated).read_bytes()
                assert (self.run_dir / evaluated).read_bytes() == same, cut.call


@pytest.fixture(scope="module")
def recording(tmp_path_factory, digits_dir):
    return Recording(tmp_path_factory.mktemp("recording"), digits_dir)


def test_a_power_cut_loses_nothing_that_was_saved(recording):
    for cut in random.Random(13).sample(recording.cuts, 100):
        assert recording.keeps(cut), cut.call


def test_without_a_flush_something_saved_is_lost(recording):
    rng = random.Random(16)
    checkpoint = ("ckpt-8.data-00000-of-00001", "ckpt-8.index")
    for forgotten in ("disk", "runs", "run", "checkpoints", *checkpoint):
        flush = ("fsync", forgotten)
        calls = [call for call in recording.calls if (call.name, call.paths()[0].name) != flush]
        assert len(calls) < len(recording.calls)
        cuts, _ = power_cuts(calls, recording.disk, {}, tries=4)
        cuts = [cut for cut in cuts if recording.saved(cut)]
        cuts.sort(key=lambda cut: (len(cut.left) > 5, rng.random()))  # those sure to fail first
        assert not all(recording.keeps(cut) for cut in cuts), forgotten


def test_a_run_goes_on_after_a_power_cut(recording, run_main):
    for step in (0, 8):
        cuts = [cut for cut in recording.cuts if recording.saved(cut) == step]
        recording.goes_on(random.Random(14).choice(cuts), run_main)


@pytest.mark.long
@pytest.mark.parametrize(
    "what, flags, first_steps",
    [
        ("a run", ["--eval_every=0"], None),
        ("a resumed run", ["--eval_every=0"], 7),
        ("an evaluated run", ["--eval_every=1"], None),
    ],
)
def test_runs_go_on_after_power_cuts(
    tmp_path, digits_dir, mnist, run_main, held, what, flags, first_steps
):
    digits = shutil.copytree(digits_dir, tmp_path / "digits")
    write_idx(digits / "t10k-images-idx3-ubyte", mnist[50:110])
    recording = Recording(tmp_path, digits, *flags, first_steps=first_steps)
    for cut in recording.cuts:
        assert recording.keeps(cut), cut.call
    held(f"power cut during {what}", len(recording.cuts), "nothing that was saved is lost")
    for cut in random.Random(15).sample(recording.cuts, 100):
        recording.goes_on(cut, run_main)
    held(f"power cut during {what}", 100, "the run ends the same")
