"""A TF1 optimizer's overridden methods, seen as a rule over its slots."""

from typing import Any

from learned_optimizer.optimizer.rule import Rule, Slots, Update, moved


class SlotRule(Rule):
  """Calls an optimizer's methods where a rule would compute.

  The methods may read variables, so that the weights are not arguments and
  the rule cannot be compiled apart from its graph.
  """

  name = "slots"

  def __init__(self, optimizer: Any):
    self._optimizer = optimizer

  def weight_specs(self):
    return {}

  def draws(self, params, generator):
    return []

  def init_state(self, weights, params, draws):
    optimizer = self._optimizer
    return Slots(
      [optimizer._initialize_state(param) for param in params],
      optimizer._initialize_global_state(),
    )

  def slot_keys(self):
    return self._optimizer.state_keys

  def to_slots(self, state, params):
    return state

  def from_slots(self, slots, params):
    return slots

  def update(
    self, weights, params, grads, state, prescribed_steps=None
  ) -> Update:
    new_params, states, global_state, attended = (
      self._optimizer._compute_updates(
        params, grads, state.per_tensor, state.global_state
      )
    )
    steps = [p - n for p, n in zip(params, new_params, strict=True)]
    if prescribed_steps is not None:
      new_params = attended = moved(params, steps, prescribed_steps)
    return Update(new_params, attended, steps, Slots(states, global_state))
