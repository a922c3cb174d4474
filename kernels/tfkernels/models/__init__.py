"""What a model computes and holds, under names that are the same in every release: layers, weights, seeds. Python 3.6+.

TensorFlow and Keras are found through the objects that these functions are given; only ``seed`` may import TensorFlow.
"""
