"""train.py with two logical CPU devices, each a replica of its own under --strategy mirrored."""

import tensorflow as tf

import train
from dcgan_tf.commandline import run

if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    run(train.main)
