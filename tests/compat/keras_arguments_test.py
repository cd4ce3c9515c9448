"""What the optimizers for Keras 3 and for tf_keras refuse, and how."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from learned_optimizer.compat import keras as of_keras_3
from learned_optimizer.compat import tf_keras as of_tf_keras
from tests.compat import acceptance

TWINS = {"keras": of_keras_3, "tf_keras": of_tf_keras}
every_twin = pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)

SCHEDULE = keras.optimizers.schedules.ExponentialDecay(1.0, 2, 0.5)
LEGACY_SCHEDULE = tf_keras.optimizers.schedules.ExponentialDecay(1.0, 2, 0.5)


class NoStep(LEGACY_SCHEDULE.__class__):
  """A schedule of a user's own."""


NOT_NEGATIVE = "a finite number that is not negative"
REFUSED = [
  *[
    ({name: value}, f"{name} is {value!r}; {NOT_NEGATIVE}")
    for name in [
      "learning_rate",
      "weight_decay",
      "clipnorm",
      "clipvalue",
      "global_clipnorm",
    ]
    for value in [-0.1, float("nan"), float("inf"), "fast", True]
  ],
  *[
    ({"ema_momentum": value}, f"ema_momentum is {value!r}; a number from 0 to")
    for value in [-0.1, 1.1, float("nan"), None]
  ],
  ({"use_ema": True, "ema_overwrite_frequency": 0}, "an integer from 1 on"),
  ({"weights": "x"}, "weights is a text that is not base64"),
  ({"weights": "AAAAAA=="}, "weights has 1 values; with these settings"),
  ({"weights": {}}, "weights has no LOL/"),
  ({"seed": -1}, "seed is -1"),
  ({"seed": "a"}, "seed is 'a'"),
  ({"level_sizes": 3}, "level_sizes is 3; a list of integers is accepted"),
  ({"init_lr_range": ["a", "b"]}, "a list of two numbers is accepted"),
  ({"foo": 1}, "foo is not an argument of HierarchicalRNN; accepted are learn"),
  ({"foo": 1}, ", name, and its settings level_sizes, "),
  ({"use_atention": True}, r"\(did you mean use_attention\?\)"),
  ({"clip_norm": 1.0}, r"\(did you mean clipnorm\?\)"),
  ({"learning_rte": 1.0}, r"\(did you mean learning_rate\?\)"),
]


@every_twin
@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=str)
def test_refuses(twin, arguments, message):
  with pytest.raises(ValueError, match=message):
    twin.HierarchicalRNN(**{"level_sizes": [3, 4, 5]} | arguments)


@every_twin
def test_accepts_what_keras_accepts(twin):
  optimizer = twin.GlobalLearningRate(
    learning_rate=0,
    weight_decay=0,
    clipnorm=np.float32(0.0),
    use_ema=True,
    ema_momentum=1,
    ema_overwrite_frequency=1,
  )
  assert float(optimizer.learning_rate) == 0.0


@pytest.mark.parametrize("name", ["foo", "learning_rte"])
def test_names_of_renamed_settings_are_those_of_the_arguments(name):
  with pytest.raises(ValueError, match="settings initial_rate, beta1, "):
    of_keras_3.TrainableAdam(**{name: 1})


@pytest.mark.parametrize(
  ("rate", "message"),
  [
    ("a", "initial_rate is 'a'; a number is accepted"),
    (-1.0, "initial_rate is -1.0; a positive number is accepted"),
  ],
)
def test_messages_have_the_names_of_the_arguments(rate, message):
  with pytest.raises(ValueError, match=message):
    of_keras_3.TrainableAdam(initial_rate=rate)


@pytest.mark.parametrize("steps", [-1, 0, 1, 2.5, True])
def test_gradient_accumulation_steps(steps):
  with pytest.raises(
    ValueError,
    match=f"gradient_accumulation_steps is {steps}; an integer from 2 on",
  ):
    of_keras_3.GlobalLearningRate(gradient_accumulation_steps=steps)


def test_loss_scale_factor():
  with pytest.raises(ValueError, match="loss_scale_factor is 0; a finite pos"):
    of_keras_3.GlobalLearningRate(loss_scale_factor=0)


@pytest.mark.parametrize(
  "name", ["gradient_accumulation_steps", "loss_scale_factor"]
)
def test_what_tf_keras_lacks(name):
  for make in (
    of_tf_keras.GlobalLearningRate,
    functools.partial(of_tf_keras.load, "digits-mlp"),
  ):
    with pytest.raises(ValueError, match=f"^tf_keras has no {name}; .* it.$"):
      make(**{name: 2})


@pytest.mark.parametrize(
  ("twin", "schedule", "message"),
  [
    (
      of_keras_3,
      LEGACY_SCHEDULE,
      "the schedule ExponentialDecay of tf_keras; .*, or a schedule of Keras 3,"
      " or a function without arguments is accepted",
    ),
    (of_keras_3, NoStep(1.0, 2, 0.5), "the schedule NoStep of tf_keras; "),
    (
      of_tf_keras,
      SCHEDULE,
      "the schedule ExponentialDecay of keras; .*, or a schedule of tf_keras is"
      " accepted",
    ),
    (of_tf_keras, lambda: 1.0, "or a schedule of tf_keras is accepted"),
  ],
)
def test_learning_rates_of_the_other_keras(twin, schedule, message):
  with pytest.raises(ValueError, match=f"learning_rate is .*{message}"):
    twin.GlobalLearningRate(learning_rate=schedule)


def _in_scope(function):
  with acceptance.mirrored_strategy().scope():
    return function()


def test_model_and_optimizer_belong_to_one_strategy():
  def make():
    return of_keras_3.GlobalLearningRate(name="rate")

  inside, outside = _in_scope(lambda: keras.Variable(1.0)), keras.Variable(1.0)
  with pytest.raises(
    ValueError,
    match="was made in the scope of a MirroredStrategy, the optimizer rate"
    " outside of any scope; make both within one",
  ):
    make().build([inside])
  with pytest.raises(
    ValueError,
    match="was made outside of any scope, the optimizer rate in the scope of a"
    " MirroredStrategy;",
  ):
    _in_scope(make).build([outside])
  optimizer = make()
  _in_scope(lambda: optimizer.build([outside]))
  assert optimizer.built


def test_an_optimizer_for_tf_keras_made_in_a_strategy_the_model_is_not_of():
  optimizer = _in_scope(of_tf_keras.GlobalLearningRate)
  with pytest.raises(ValueError, match="made outside of any scope, the optimi"):
    optimizer.build([tf.Variable(1.0)])
