import logging

import pytest
import tensorflow as tf

from dcgan_tf.distributed.replicas import on_all_replicas
from dcgan_tf.distributed.strategy import mirrored_strategy
from dcgan_tf.steps.compile_step import compile_step, repeat_step
from dcgan_tf.train_step import StepOutput, StepScalars


def figures(images, labels=None):
    """A step that only counts."""
    scalars = StepScalars(*[tf.reduce_sum(images)] * len(StepScalars._fields))
    return StepOutput(scalars, images, images)


def one_at_a_time():
    compile_step(figures)(tf.ones([2, 1]))


def several_at_once():
    output = repeat_step(compile_step(figures))(
        iter(tf.data.Dataset.from_tensors(tf.ones([2, 1])).repeat()), tf.constant(3)
    )
    assert output.real_logits.shape == [3, 2, 1]


def on_replicas():
    with mirrored_strategy(0).scope():  # the process's one
        on_all_replicas(figures)(tf.ones([2, 1]))


@pytest.mark.parametrize("take", [one_at_a_time, several_at_once, on_replicas])
def test_trainings_in_one_process_are_no_retracing(take):
    """TensorFlow warns of the fifth graph of one function, as of a mistake."""
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    tf.get_logger().addHandler(handler)
    try:
        for _ in range(6):
            take()
    finally:
        tf.get_logger().removeHandler(handler)
    assert not [record for record in records if "retracing" in record.getMessage()]
