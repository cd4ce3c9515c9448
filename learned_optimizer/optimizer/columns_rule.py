"""Rules whose state has a column for each coordinate."""

from collections.abc import Sequence

import tensorflow as tf

from learned_optimizer.optimizer.layout import Layout
from learned_optimizer.optimizer.rule import Rule, Slots, State


class ColumnsRule(Rule):
  """A rule whose state is matrices [rows, N] by the keys of its slots."""

  def to_slots(self, state: State, params: Sequence[tf.Tensor]) -> Slots:
    return Slots(Layout.of(params).to_slots(state), [])

  def from_slots(self, slots: Slots, params: Sequence[tf.Tensor]) -> State:
    layout = Layout.of(params)
    return layout.from_slots(slots.per_tensor, self.slot_keys())
