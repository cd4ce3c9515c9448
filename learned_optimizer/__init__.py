"""Optimizers that are themselves neural networks.

Importing this package imports neither TensorFlow nor Keras.
"""

__version__ = "0.1.0"
