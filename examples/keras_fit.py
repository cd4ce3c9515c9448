"""A Keras model that a learned optimizer trains.

The model is the one that `digits-mlp` learned on: a perceptron with 20 sigmoid
units, which reads handwritten digits of 64 pixels.

  python examples/keras_fit.py
"""

import keras

import learned_optimizer
from learned_optimizer.problems import datasets


def fit(source: str, epochs: int) -> keras.callbacks.History:
  """Fits the perceptron to the digits; validates on others."""
  keras.utils.set_random_seed(0)
  model = keras.Sequential(
    [
      keras.Input([64]),
      keras.layers.Dense(20, activation="sigmoid"),
      keras.layers.Dense(10),
    ]
  )
  model.compile(
    optimizer=learned_optimizer.load(source),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
  )
  training, others = datasets.digits(train=True), datasets.digits(train=False)
  return model.fit(
    training.data,
    training.labels,
    batch_size=128,
    epochs=epochs,
    validation_data=(others.data, others.labels),
    verbose=0,
  )


if __name__ == "__main__":
  # 12 steps an epoch, hence 204 steps.
  history = fit("digits-mlp", epochs=17).history
  print("epoch  loss    accuracy on other digits")
  for number, loss in enumerate(history["loss"]):
    print(f"{number + 1:5}  {loss:.4f}  {history['val_accuracy'][number]:.1%}")
