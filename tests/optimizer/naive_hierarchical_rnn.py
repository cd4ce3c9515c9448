"""The hierarchical RNN once more: tensor by tensor, in float64, on slots.

A second, plain reading of the equations to compare the rule with where there
is no recorded number. `settings` is a `HierarchicalRNNRule`, of which only the
attributes are used; arrays are in the layout of the original variables.
"""

import numpy as np


def fresh_slots(settings, weights, params, draws):
  """The slots of every tensor and the global state at the start."""
  per_tensor = []
  for i, param in enumerate(params):
    rows = param.size
    slots = {
      "parameter": np.tile(_init_vector(settings, weights, draws, 0), [rows, 1])
    }
    slots |= {key: np.zeros([rows, 1]) for key in ("scl_decay", "inp_decay")}
    for s in range(1, settings.num_gradient_scales + 1):
      slots[f"grad_accum{s}"] = slots[f"ms{s}"] = np.zeros([rows, 1])
    if len(settings.level_sizes) > 1:
      slots["layer"] = _init_vector(settings, weights, draws, 1)
    if settings.dynamic_output_scale:
      log_lr = draws["coordinates"][i] + draws["tensors"][i]
      slots["log_learning_rate"] = np.clip(
        log_lr.reshape([rows, 1]), -33.0, settings.max_log_lr
      )
    slots["true_param"] = param
    per_tensor.append(slots)
  global_state = []
  if len(settings.level_sizes) > 2:
    global_state = [_init_vector(settings, weights, draws, 2)]
  return per_tensor, global_state


def update(settings, weights, params, grads, per_tensor, global_state):
  """One step: parameters, attended parameters, slots and global state."""
  mean_log_lr = None
  if settings.use_problem_lr_mean and settings.use_relative_lr:
    mean_log_lr = np.mean(
      np.concatenate([slots["log_learning_rate"] for slots in per_tensor])
    )
  results = [
    _update_tensor(settings, weights, *tensor, global_state, mean_log_lr)
    for tensor in zip(params, grads, per_tensor, strict=True)
  ]
  new_params, attended, new_slots = map(list, zip(*results, strict=True))
  if len(settings.level_sizes) > 2:
    # Level 2 sees the last tensor alone, as in the original.
    layer = new_slots[-1]["layer"]
    global_state = [_gru(weights, "Layer2_RNN", layer, global_state[0], 0.0)]
  return new_params, attended, new_slots, global_state


def _update_tensor(settings, weights, param, grad, old, global_state, mean):
  levels = len(settings.level_sizes)
  scaled, new = _scale_gradient(settings, grad.reshape([-1, 1]), old)
  features = np.concatenate(_features(settings, scaled, old, new, mean), axis=1)

  bias = 0.0
  if levels > 1:
    bias = _affine(weights, "PerTensor/Layer0_RNN/Param", old["layer"])
  if levels > 2:
    bias = bias + _affine(
      weights, "PerTensor/Layer0_RNN/Global", global_state[0]
    )
  hidden = _gru(
    weights, "PerTensor/Layer0_RNN", features, old["parameter"], bias
  )
  new["parameter"] = hidden
  if levels > 1:
    seen = [hidden]
    if features.shape[1] != settings.num_gradient_scales:
      seen.append(features)
    report = np.mean(np.concatenate(seen, axis=1), axis=0, keepdims=True)
    bias = 0.0
    if levels > 2:
      bias = _affine(weights, "PerTensor/Layer1_RNN", global_state[0])
    new["layer"] = _gru(
      weights, "PerTensor/Layer1_RNN", report, old["layer"], bias
    )

  learned = settings.learnable_decay
  new["scl_decay"] = _decay(weights, "scl_decay", hidden, learned, 0.93)
  learned &= settings.learnable_inp_decay and settings.num_gradient_scales > 1
  new["inp_decay"] = _decay(weights, "inp_decay", hidden, learned, 0.89)

  rate = attended_rate = 1.0
  if settings.dynamic_output_scale:
    log_lr = (
      old["log_learning_rate"] + hidden @ weights["LOL/learning_rate_weights"]
    )
    log_lr = np.clip(
      log_lr + weights["LOL/learning_rate_bias"], -33.0, settings.max_log_lr
    )
    memory = _sigmoid(weights["LOL/PerTensor/learning_rate_momentum_logit"])
    new["log_learning_rate"] = (
      memory * old["log_learning_rate"] + (1.0 - memory) * log_lr
    )
    rate = np.exp(log_lr + weights["LOL/PerTensor/param_stepsize_offset"])
    attended_rate = np.exp(log_lr)

  def moved(start, rate, *names):
    step = rate * _direction(settings, weights, hidden, scaled, *names)
    return start - step.reshape(start.shape)

  if not settings.use_attention:
    new_param = moved(param, rate, "update_weights", "GradsToDelta")
    return new_param, new_param, new | {"true_param": new_param}
  truth = old["true_param"]
  new_param = moved(truth, rate, "update_weights", "GradsToDelta")
  attended = moved(
    truth, attended_rate, "attention_weights", "GradsToAttnDelta"
  )
  return new_param, attended, new | {"true_param": new_param}


def _scale_gradient(settings, grad, old):
  """The scaled gradient of every time scale, and the new averages."""
  scaled, new = [], {}
  input_decay, scale_decay = old["inp_decay"], old["scl_decay"]
  for s in range(1, settings.num_gradient_scales + 1):
    average = grad
    if settings.num_gradient_scales > 1:
      average = grad * (1.0 - input_decay) + old[f"grad_accum{s}"] * input_decay
    mean_square, decay = old[f"ms{s}"], scale_decay
    if not np.any(mean_square):
      decay = 0.0
    mean_square = (1.0 - decay) * (average**2 + 1e-12) + decay * mean_square
    x = average / np.sqrt(mean_square + 1e-16)
    scaled.append(np.log(x + np.sqrt(1.0 + x**2)))
    new |= {f"grad_accum{s}": average, f"ms{s}": mean_square}
    input_decay = np.sqrt(input_decay)
    if settings.use_multiple_scale_decays:
      scale_decay = np.sqrt(scale_decay)
  return scaled, new


def _features(settings, scaled, old, new, mean_log_lr):
  features = list(scaled)
  if settings.use_grad_products:
    features += [a * b for a, b in zip(scaled, scaled[1:], strict=False)]
  if settings.use_log_means_squared:
    logs = [np.log(new[f"ms{s + 1}"] + 1e-16) for s in range(len(scaled))]
    features += [log - np.mean(logs, axis=0) for log in logs]
  log_lr = old.get("log_learning_rate")
  if settings.use_relative_lr:
    features.append(
      log_lr - (np.mean(log_lr) if mean_log_lr is None else mean_log_lr)
    )
  if settings.use_extreme_indicator:
    above = np.maximum(log_lr - np.log(1.0), 0.0)
    features.append(above - np.maximum(np.log(1e-6) - log_lr, 0.0))
  if settings.use_lr_shortcut:
    features.append(log_lr - np.log(1e-3))
  return features


def _direction(settings, weights, hidden, scaled, readout, shortcut):
  delta = hidden @ weights[f"LOL/{readout}"]
  if settings.use_gradient_shortcut:
    matrix = weights[f"LOL/PerTensor/{shortcut}/Matrix"]
    delta = delta + np.concatenate(scaled, axis=1) @ matrix
  if settings.dynamic_output_scale:
    delta = delta / np.sqrt(np.mean(delta**2) + 1e-16)
  return delta


def _init_vector(settings, weights, draws, level):
  if settings.learnable_rnn_init:
    return weights[f"LOL/Level{level}_RNN/init_vector"]
  return draws["init_vectors"][level]


def _sigmoid(x):
  return 1.0 / (1.0 + np.exp(-x))


def _affine(weights, name, inputs):
  name = f"LOL/{name}/Affine"
  return inputs @ weights[f"{name}/Matrix"] + weights[f"{name}/Bias"]


def _gru(weights, name, inputs, state, bias):
  name, units = f"{name}/BiasGRUCell", state.shape[1]
  bias = bias + np.zeros([1, 3 * units])
  gates = _affine(weights, f"{name}/gates", np.hstack([inputs, state]))
  reset = _sigmoid(gates[:, :units] + bias[:, :units])
  keep = _sigmoid(gates[:, units:] + bias[:, units : 2 * units])
  candidate = _affine(
    weights, f"{name}/candidate", np.hstack([inputs, reset * state])
  )
  candidate = np.tanh(candidate + bias[:, 2 * units :])
  return keep * state + (1.0 - keep) * candidate


def _decay(weights, name, hidden, learned, constant):
  if not learned:
    return np.full([len(hidden), 1], constant)
  return _sigmoid(
    hidden @ weights[f"LOL/{name}_weights"] + weights[f"LOL/{name}_bias"]
  )
