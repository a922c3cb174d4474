"""A graph of TensorFlow 1: two dense layers with a normalisation between, Adam, and moving averages."""

from typing import Any, NamedTuple

import tensorflow as tf

from conversion_table.specimen_maker.release import data, v1


class TrainedGraph(NamedTuple):
    """A trained graph in its session."""

    graph: Any
    session: Any
    x: Any
    out: Any


def trained() -> TrainedGraph:
    graph = tf.Graph()
    with graph.as_default():
        v1.set_random_seed(5)
        x = v1.placeholder(tf.float32, [None, 10], name="x")
        y = v1.placeholder(tf.float32, [None, 3], name="y")
        training = v1.placeholder_with_default(False, [], name="training")
        with v1.variable_scope("net"):
            hidden = _normalised(tf.nn.relu(_dense(x, 12, "hidden")), training)
            out = tf.identity(_dense(hidden, 3, "logits"), name="out")
        step = v1.train.get_or_create_global_step()
        averages = v1.train.ExponentialMovingAverage(0.9)
        with graph.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
            train = v1.train.AdamOptimizer(0.01).minimize(tf.reduce_mean(tf.square(out - y)), global_step=step)
        with graph.control_dependencies([train]):
            train = averages.apply(v1.trainable_variables())
        session = v1.Session(graph=graph)
        session.run(v1.global_variables_initializer())
        for number in range(5):
            session.run(train, {x: data(8, 10, seed=number), y: data(8, 3, seed=number + 50), training: True})
    return TrainedGraph(graph, session, x, out)


def _dense(x: Any, units: int, name: str) -> Any:
    with v1.variable_scope(name):
        drawn = v1.random_normal_initializer(stddev=0.5, seed=7)
        kernel = v1.get_variable("kernel", [int(x.shape[-1]), units], initializer=drawn)
        return tf.matmul(x, kernel) + v1.get_variable("bias", [units], initializer=v1.zeros_initializer())


def _normalised(x: Any, training: Any) -> Any:
    zeros, ones = v1.zeros_initializer(), v1.ones_initializer()
    with v1.variable_scope("norm"):
        gamma = v1.get_variable("gamma", [12], initializer=ones)
        beta = v1.get_variable("beta", [12], initializer=zeros)
        moving_mean = v1.get_variable("moving_mean", [12], initializer=zeros, trainable=False)
        moving_variance = v1.get_variable("moving_variance", [12], initializer=ones, trainable=False)
        mean, variance = tf.nn.moments(x, [0])
        for variable, now in ((moving_mean, mean), (moving_variance, variance)):
            v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, v1.assign(variable, variable * 0.9 + now * 0.1))
        return tf.cond(
            training,
            lambda: tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3),
            lambda: tf.nn.batch_normalization(x, moving_mean, moving_variance, beta, gamma, 1e-3),
        )
