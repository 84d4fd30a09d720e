"""The notebook runs from top to bottom, on a few steps in place of its epochs."""

import inspect
from pathlib import Path

import nbclient
import nbformat

from dcgan_tf.settings.config import Config
from dcgan_tf.steps.make_step import make_step
from tests.conftest import ROOT

PARAMETERS = "EPOCHS, MAX_STEPS, EVALUATED_IMAGES = 1, 5, 200"


def outputs(cell):
    return [output for output in cell.get("outputs", []) if output.output_type != "stream"]


def sources(notebook):
    """What the cells print that show source code."""
    shown = [cell for cell in notebook.cells if "print(inspect.getsource" in cell.source]
    return ["".join(output.text for output in cell.outputs) for cell in shown]


def test_notebook_runs_and_shows_what_is_saved_in_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    saved = nbformat.read(ROOT / "notebooks" / "dcgan.ipynb", as_version=4)
    nbformat.validate(saved)
    ran = nbformat.from_dict(saved)
    (parameters,) = [cell for cell in ran.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = PARAMETERS
    nbclient.NotebookClient(
        ran, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert (tmp_path / "runs" / "notebook" / "training.gif").is_file()
    kinds, wanted = (
        [[sorted(output.data) for output in outputs(cell)] for cell in notebook.cells]
        for notebook in (ran, saved)
    )
    assert kinds == wanted and sum(map(len, kinds)) > 15
    assert sources(ran) == sources(saved) and len(sources(saved)) == 4
    step = make_step(Config())  # which a default run traces
    assert sources(saved)[-1] == f"{inspect.getsource(step)}\n"


def test_saved_notebook_is_small_and_in_order():
    path = Path(ROOT / "notebooks" / "dcgan.ipynb")
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert path.stat().st_size < 1_500_000
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
