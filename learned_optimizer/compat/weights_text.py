"""Learned weights as text, for the JSON of an optimizer's configuration."""

import base64
import binascii
from collections.abc import Mapping

import numpy as np

from learned_optimizer.optimizer.rule import Rule


def encode(weights: Mapping[str, np.ndarray], rule: Rule) -> str:
  """The float32 values in the order of `Rule.weight_specs`, in base64."""
  values = [np.asarray(weights[name]).ravel() for name in rule.weight_specs()]
  return base64.b64encode(np.concatenate(values).astype("<f4")).decode()


def decode(text: str, rule: Rule) -> dict[str, np.ndarray]:
  """The inverse of `encode`.

  Raises:
    ValueError: the text does not hold the weights of this rule.
  """
  shapes = {name: spec.shape for name, spec in rule.weight_specs().items()}
  sizes = [int(np.prod(shape)) for shape in shapes.values()]
  try:
    values = np.frombuffer(base64.b64decode(text, validate=True), "<f4")
  except (binascii.Error, ValueError) as error:
    raise ValueError(
      f"weights is a text that is not base64 of float32 values ({error})."
    ) from error
  if values.size != sum(sizes):
    raise ValueError(
      f"weights has {values.size} values; with these settings {sum(sizes)} are"
      " accepted."
    )
  parts = np.split(values, np.cumsum(sizes)[:-1])
  return {
    name: part.reshape(shape).astype(np.float32)
    for (name, shape), part in zip(shapes.items(), parts, strict=True)
  }
