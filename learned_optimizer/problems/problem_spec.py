"""A description of an object that is built later, and as often as wanted."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from learned_optimizer import generators


class Spec(NamedTuple):
  """A callable, usually a class, with the arguments to call it with.

  Every `build` makes a new random instance, unless the arguments fix its seed.

  >>> Spec(complex, [1], {"imag": 2}).build()
  (1+2j)
  """

  callable: Callable[..., Any]
  args: Sequence[Any]
  kwargs: Mapping[str, Any]

  def build(self, random_seed: generators.Seed = None) -> Any:
    """Calls the callable.

    Args:
      random_seed: passed on as the keyword argument of this name if the
        callable has such an argument and the spec does not fix it; builds with
        equal seeds are then equal.

    Returns:
      What the callable returns.
    """
    kwargs = dict(self.kwargs)
    if random_seed is not None:
      signature = inspect.signature(self.callable)
      fixed = signature.bind_partial(*self.args, **kwargs).arguments
      if (
        "random_seed" in signature.parameters
        and fixed.get("random_seed") is None
      ):
        kwargs["random_seed"] = random_seed
    return self.callable(*self.args, **kwargs)
