"""All problem classes, under the module path of the original code."""

from learned_optimizer.problems.classifiers import (
  FullyConnected as FullyConnected,
)
from learned_optimizer.problems.classifiers import (
  SoftmaxClassifier as SoftmaxClassifier,
)
from learned_optimizer.problems.classifiers import (
  SoftmaxRegression as SoftmaxRegression,
)
from learned_optimizer.problems.problem import Problem as Problem
from learned_optimizer.problems.quadratic import Quadratic as Quadratic
