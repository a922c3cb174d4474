"""What a model computes and holds, under names that are the same in every release: layers, weights, seeds.

TensorFlow and Keras are found through the objects that these functions are given; only ``seed`` may import TensorFlow.
"""

from tfkernels.models.loading import load_weights
from tfkernels.models.recorder import watch
from tfkernels.models.seeds import seed
from tfkernels.models.tracing import trace
from tfkernels.models.variables import weights

__all__ = ["load_weights", "seed", "trace", "watch", "weights"]
