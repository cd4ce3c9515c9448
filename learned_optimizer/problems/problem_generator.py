"""All problem classes, under the module path of the original code.

`KerasProblem` is in `keras_adapter` alone, so that the rest does without Keras.
"""

from learned_optimizer.problems.adaptors import (
  LogObjective,
  Rescale,
  SparseProblem,
  SumTask,
)
from learned_optimizer.problems.batched_functions import (
  BatchedLasso,
  BatchedQuadratic,
  BatchedRastrigin,
  Simple,
  SquareCos,
)
from learned_optimizer.problems.conv_classifiers import (
  ConvNet,
  ConvNetOrig,
  EvaluationConvNet,
  TrainingConvNet,
)
from learned_optimizer.problems.dense_classifiers import (
  FullyConnected,
  OneHotSparseSoftmaxRegression,
  SoftmaxRegression,
  SparseSoftmaxRegression,
)
from learned_optimizer.problems.many_dimensional import (
  DependencyChain,
  MinMaxWell,
  OutwardSnake,
  ProjectionQuadratic,
  SumOfQuadratics,
)
from learned_optimizer.problems.matmul_algorithm import (
  MatMulAlgorithm,
  matmul_problem_sequence,
)
from learned_optimizer.problems.model_adapter import ModelAdapter
from learned_optimizer.problems.normalised_classifiers import (
  LeNet,
  NormalisedConvNet,
  SearchedCell,
)
from learned_optimizer.problems.problem import Problem
from learned_optimizer.problems.quadratic import (
  IsotropicQuadratic,
  Lasso,
  Norm,
  Quadratic,
  Rastrigin,
)
from learned_optimizer.problems.rosenbrock_model import (
  make_rosenbrock_loss_and_init,
)
from learned_optimizer.problems.softmax_classifier import SoftmaxClassifier
from learned_optimizer.problems.two_dimensional import (
  Ackley,
  Beale,
  Booth,
  Bowl,
  Branin,
  LogSumExp,
  Matyas,
  Michalewicz,
  Problem2D,
  Rosenbrock,
  Saddle,
  StyblinskiTang,
)
