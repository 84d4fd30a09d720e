"""Distances over the minutes: of every other held-out digit, at each moment of a run."""

import numpy as np
import pytest

from benchmarks import time_to_quality
from dcgan_tf.datasets.loading import load_held_out, load_images
from dcgan_tf.evaluation.feature_extractors import make_feature_extractor
from dcgan_tf.evaluation.metrics import frechet_distance
from dcgan_tf.settings.config import Config


@pytest.mark.thorough
def test_every_other_held_out_digit_is_compared_with(monkeypatch):
    monkeypatch.setattr(time_to_quality, "resolve_auto", lambda config, _: config)
    run = "fast base_filters=4 batch_size=8 max_steps=4 precision=float32 convolutions=native"
    monkeypatch.setattr(time_to_quality.Evaluator, "samples", lambda self, generator: self.held_out)
    curves, baseline = time_to_quality.compare([run], seeds=1, measurements=2)
    assert [moment.step for moment in curves[run, 0]][-1] == 4
    assert all(moment.distance == pytest.approx(0, abs=1e-6) for moment in curves[run, 0])
    digits = load_images(Config())
    reference = digits[np.linspace(0, len(digits) - 1, 5000).astype(int)]
    features = [
        make_feature_extractor(Config())(each).features
        for each in (load_held_out(Config())[1::2], reference)
    ]
    assert baseline == pytest.approx(frechet_distance(*features), rel=1e-6)
