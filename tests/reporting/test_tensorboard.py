import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from dcgan_tf.reporting.tensorboard import TensorBoard, write_histogram


def logged(directory):
    """What TensorBoard's own reader finds."""
    accumulator = EventAccumulator(str(directory), size_guidance={"tensors": 0})
    accumulator.Reload()
    tags = accumulator.Tags()["tensors"]
    return {tag: [event.step for event in accumulator.Tensors(tag)] for tag in tags}


def log_steps(directory, start, stop):
    log = TensorBoard(directory, start)
    for step in range(start + 1, stop + 1):
        log.scalars("step", {"gen_loss": step}, step)
    log.images("samples", np.zeros((9, 9), np.uint8), stop)
    log.close()


def test_a_resumed_run_has_each_step_once(tmp_path):
    log_steps(tmp_path, 0, 5)
    log_steps(tmp_path, 3, 6)
    assert logged(tmp_path) == {"step/gen_loss": [1, 2, 3, 4, 5, 6], "samples": [6]}


def test_resumes_after_the_clock_was_set_back(tmp_path):
    log_steps(tmp_path, 0, 5)
    log_steps(tmp_path, 3, 6)
    for path in sorted(tmp_path.iterdir()):
        parts = path.name.split(".")
        parts[3] = str(int(parts[3]) + 86400)
        path.rename(path.with_name(".".join(parts)))
    log_steps(tmp_path, 6, 8)
    log_steps(tmp_path, 7, 9)
    assert logged(tmp_path)["step/gen_loss"] == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_truncated_event_is_dropped(tmp_path):
    log_steps(tmp_path, 0, 5)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-7])
    log_steps(tmp_path, 5, 6)
    assert logged(tmp_path) == {"step/gen_loss": [1, 2, 3, 4, 5, 6], "samples": [6]}


def test_a_run_that_starts_over_keeps_no_events(tmp_path):
    log_steps(tmp_path, 0, 0)
    log_steps(tmp_path, 0, 5)
    log_steps(tmp_path, 0, 0)
    assert logged(tmp_path) == {"samples": [0]}


def test_settings_are_hyperparameters(tmp_path):
    log = TensorBoard(tmp_path, 0)
    log.settings({"loss": "bce", "learning_rate": 1e-4, "flip": False, "data_dir": None})
    log.close()
    accumulator = EventAccumulator(str(tmp_path))
    accumulator.Reload()
    content = accumulator.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    found = HParamsPluginData.FromString(content).session_start_info.hparams
    assert found["learning_rate"].number_value == 1e-4 and found["loss"].string_value == "bce"
    assert found["flip"].bool_value is False and found["data_dir"].string_value == ""


@pytest.mark.parametrize("low", [1.0, 5.0, -3e38, 0.0])
def test_nearly_equal_values_have_a_histogram(low, tmp_path):
    """Such are gammas after a few small steps, and the logits of similar images."""
    values = np.array([low, np.nextafter(np.float32(low), np.float32(np.inf))], np.float32)
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(step=7):
        write_histogram("values", values)
    writer.close()
    accumulator = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    accumulator.Reload()
    buckets = tf.make_ndarray(accumulator.Tensors("values")[0].tensor_proto)
    assert buckets[0, 2] == buckets[-1, 2] == 1 and buckets[:, 2].sum() == 2


def test_histograms_are_those_of_tensorflow(tmp_path):
    values = np.random.default_rng(0).normal(size=(100, 100)).astype(np.float32)
    values[0, 0], values[0, 1] = np.inf, np.nan
    finite = values[np.isfinite(values)]
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(step=7):
        tf.summary.histogram("theirs", finite)
        write_histogram("ours", values)
        write_histogram("constant", np.zeros(5))
    writer.close()
    accumulator = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    accumulator.Reload()
    ours, theirs, constant = (
        tf.make_ndarray(accumulator.Tensors(tag)[0].tensor_proto)
        for tag in ("ours", "theirs", "constant")
    )
    np.testing.assert_allclose(ours[:, :2], theirs[:, :2], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ours[:, 2], theirs[:, 2])
    assert ours[:, 2].sum() == 9998 and constant[:, 2].sum() == 5
    kinds = {accumulator.SummaryMetadata(tag).plugin_data.plugin_name for tag in ("ours", "theirs")}
    assert kinds == {"histograms"}
