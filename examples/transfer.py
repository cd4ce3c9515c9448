"""A meta-trained optimizer, handed on to people who have no use for its run.

Exports what metarun trained to a folder of a few kilobytes, and trains a Keras
model with what is in that folder:

  python examples/transfer.py runs my_optimizer
"""

import sys

import keras

import learned_optimizer
from learned_optimizer.problems import datasets


def export_and_fit(source: str, folder: str, epochs: int) -> list[float]:
  """Exports an optimizer, fits a model to the digits; returns the losses."""
  learned_optimizer.export(source, folder)
  keras.utils.set_random_seed(0)
  model = keras.Sequential(
    [
      keras.Input([64]),
      keras.layers.Dense(16, activation="relu"),
      keras.layers.Dense(10),
    ]
  )
  model.compile(
    optimizer=learned_optimizer.load(folder),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
  )
  digits = datasets.digits()
  history = model.fit(
    digits.data, digits.labels, batch_size=128, epochs=epochs, verbose=0
  )
  return history.history["loss"]


if __name__ == "__main__":
  if len(sys.argv) != 3:
    sys.exit(f"usage: {sys.argv[0]} <folder of a run> <new folder>")
  for number, loss in enumerate(export_and_fit(*sys.argv[1:], epochs=10)):
    print(f"epoch {number + 1:2}: loss {loss:.4f}")
