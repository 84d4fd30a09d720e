import gc
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from dcgan_tf.commands import train
from tests.conftest import RESOLVED, ROOT, start, write_idx
from tests.test_resume import flags


def test_a_runs_plots_do_not_stay_in_memory(run_main, digits_dir, tmp_path):
    assert run_main(train, *flags(tmp_path / "run", digits_dir, "--max_steps=3"))[0] == 0
    assert not any(isinstance(each, Figure) for each in gc.get_objects())


def resident_mib(process):
    """What a process holds in memory now; nothing where it is just ending."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return [int(line.split()[1]) / 1024 for line in status.splitlines() if "VmRSS" in line]


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_the_same_over_10000_steps(mnist, tmp_path):
    """And over forty epochs."""
    write_idx(tmp_path / "train-images-idx3-ubyte", mnist[:2000])
    flags = [f"--data_dir={tmp_path}", f"--run_dir={tmp_path / 'run'}", "--max_steps=10000"]
    flags += ["--batch_size=8", "--base_filters=4", "--eval_every=0", *RESOLVED]
    process = start([sys.executable, str(ROOT / "train.py"), *flags])
    held = []
    while process.poll() is None:
        held += resident_mib(process)
        time.sleep(0.5)
    assert process.returncode == 0 and len(held) > 40
    early, late = (np.median(held[len(held) * i // 8 : len(held) * (i + 1) // 8]) for i in (2, 6))
    print(f"{early:.0f} MiB after a quarter, {late:.0f} MiB after three")
    assert late < 1.03 * early
