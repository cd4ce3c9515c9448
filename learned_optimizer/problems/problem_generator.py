"""All problem classes, under the module path of the original code."""

from learned_optimizer.problems.adaptors import (
  LogObjective as LogObjective,
)
from learned_optimizer.problems.adaptors import (
  Rescale as Rescale,
)
from learned_optimizer.problems.adaptors import (
  SparseProblem as SparseProblem,
)
from learned_optimizer.problems.adaptors import (
  SumTask as SumTask,
)
from learned_optimizer.problems.classifiers import (
  FullyConnected as FullyConnected,
)
from learned_optimizer.problems.classifiers import (
  OneHotSparseSoftmaxRegression as OneHotSparseSoftmaxRegression,
)
from learned_optimizer.problems.classifiers import (
  SoftmaxRegression as SoftmaxRegression,
)
from learned_optimizer.problems.classifiers import (
  SparseSoftmaxRegression as SparseSoftmaxRegression,
)
from learned_optimizer.problems.conv_nets import (
  ConvNet as ConvNet,
)
from learned_optimizer.problems.conv_nets import (
  ConvNetOrig as ConvNetOrig,
)
from learned_optimizer.problems.conv_nets import (
  EvaluationConvNet as EvaluationConvNet,
)
from learned_optimizer.problems.conv_nets import (
  TrainingConvNet as TrainingConvNet,
)
from learned_optimizer.problems.coupled import (
  DependencyChain as DependencyChain,
)
from learned_optimizer.problems.coupled import (
  MinMaxWell as MinMaxWell,
)
from learned_optimizer.problems.coupled import (
  OutwardSnake as OutwardSnake,
)
from learned_optimizer.problems.data_quadratic import (
  ProjectionQuadratic as ProjectionQuadratic,
)
from learned_optimizer.problems.data_quadratic import (
  SumOfQuadratics as SumOfQuadratics,
)
from learned_optimizer.problems.matmul_algorithm import (
  MatMulAlgorithm as MatMulAlgorithm,
)
from learned_optimizer.problems.matmul_algorithm import (
  matmul_problem_sequence as matmul_problem_sequence,
)
from learned_optimizer.problems.model_adapter import (
  ModelAdapter as ModelAdapter,
)
from learned_optimizer.problems.problem import Problem as Problem
from learned_optimizer.problems.quadratic import (
  IsotropicQuadratic as IsotropicQuadratic,
)
from learned_optimizer.problems.quadratic import (
  Lasso as Lasso,
)
from learned_optimizer.problems.quadratic import (
  Norm as Norm,
)
from learned_optimizer.problems.quadratic import Quadratic as Quadratic
from learned_optimizer.problems.quadratic import (
  Rastrigin as Rastrigin,
)
from learned_optimizer.problems.rosenbrock_model import (
  make_rosenbrock_loss_and_init as make_rosenbrock_loss_and_init,
)
from learned_optimizer.problems.softmax_classifier import (
  SoftmaxClassifier as SoftmaxClassifier,
)
from learned_optimizer.problems.two_dimensional import (
  Ackley as Ackley,
)
from learned_optimizer.problems.two_dimensional import (
  Beale as Beale,
)
from learned_optimizer.problems.two_dimensional import (
  Booth as Booth,
)
from learned_optimizer.problems.two_dimensional import (
  Bowl as Bowl,
)
from learned_optimizer.problems.two_dimensional import (
  Branin as Branin,
)
from learned_optimizer.problems.two_dimensional import (
  LogSumExp as LogSumExp,
)
from learned_optimizer.problems.two_dimensional import (
  Matyas as Matyas,
)
from learned_optimizer.problems.two_dimensional import (
  Michalewicz as Michalewicz,
)
from learned_optimizer.problems.two_dimensional import (
  Problem2D as Problem2D,
)
from learned_optimizer.problems.two_dimensional import (
  Rosenbrock as Rosenbrock,
)
from learned_optimizer.problems.two_dimensional import (
  Saddle as Saddle,
)
from learned_optimizer.problems.two_dimensional import (
  StyblinskiTang as StyblinskiTang,
)
