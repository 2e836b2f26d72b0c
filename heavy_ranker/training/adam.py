"""Adam on TensorFlow's fused kernel (Kingma and Ba, arXiv 1412.6980)."""

import numpy as np
import tensorflow as tf
import tf_keras as keras


class Adam(keras.optimizers.legacy.Optimizer):
  """w -= lr * m_hat / (sqrt(v_hat) + epsilon), the paper's form and PyTorch's.

  The kernel adds epsilon to sqrt(v) instead, so it is handed lr * sqrt(1 - beta_2^t) /
  (1 - beta_1^t) as its rate and epsilon * sqrt(1 - beta_2^t) as its epsilon, which is the same
  update. t starts at 1.

  Args:
    learning_rate: a schedule of the number of updates made before.
    beta_1: decay of the mean of the gradients.
    beta_2: decay of the mean of their squares.
    epsilon: added to the root of the bias-corrected second moment.
    name: the optimizer's name.
  """

  def __init__(
    self,
    learning_rate: keras.optimizers.schedules.LearningRateSchedule,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    name: str = "Adam",
  ):
    super().__init__(name=name)
    self._set_hyper("learning_rate", learning_rate)
    self._beta_1, self._beta_2, self._epsilon = beta_1, beta_2, epsilon

  def create_variables(self, variables: list[tf.Variable]) -> None:
    """Creates the step counter and both moments now, so that the first step is traced once."""
    _ = self.iterations
    self._create_hypers()
    self._create_slots(variables)

  def _create_slots(self, var_list: list[tf.Variable]) -> None:
    for variable in var_list:
      self.add_slot(variable, "m")
      self.add_slot(variable, "v")

  def _prepare_local(self, var_device: str, var_dtype: tf.DType, apply_state: dict) -> None:
    super()._prepare_local(var_device, var_dtype, apply_state)
    state = apply_state[(var_device, var_dtype)]
    update = tf.cast(self.iterations + 1, tf.float64)
    # The kernel decays with float32 betas; their powers have to be the powers of those numbers.
    correction_1 = 1.0 - tf.pow(_rounded(self._beta_1), update)
    root = tf.sqrt(1.0 - tf.pow(_rounded(self._beta_2), update))
    rate = tf.cast(state["lr_t"], tf.float64)
    state["rate"] = tf.cast(rate * root / correction_1, var_dtype)
    state["epsilon"] = tf.cast(self._epsilon * root, var_dtype)
    # Once for all variables: a graph without hundreds of equal constants is built sooner.
    state["zero"] = tf.zeros([], var_dtype)
    state["beta_1"] = tf.constant(self._beta_1, var_dtype)
    state["beta_2"] = tf.constant(self._beta_2, var_dtype)

  def _resource_apply_dense(
    self, grad: tf.Tensor, handle: tf.Variable, apply_state: dict
  ) -> tf.Operation:
    state = apply_state[(handle.device, handle.dtype.base_dtype)]
    return tf.raw_ops.ResourceApplyAdam(
      var=handle.handle,
      m=self.get_slot(handle, "m").handle,
      v=self.get_slot(handle, "v").handle,
      beta1_power=state["zero"],
      beta2_power=state["zero"],
      lr=state["rate"],
      beta1=state["beta_1"],
      beta2=state["beta_2"],
      epsilon=state["epsilon"],
      grad=grad,
      use_locking=self._use_locking,
    )

  def _resource_apply_sparse(
    self, grad: tf.Tensor, handle: tf.Variable, indices: tf.Tensor, apply_state: dict
  ) -> tf.Operation:
    # Rows that were not looked up have a gradient of 0, which still moves them: their moments live.
    dense = tf.math.unsorted_segment_sum(grad, indices, tf.shape(handle)[0])
    return self._resource_apply_dense(dense, handle, apply_state)

  def get_config(self) -> dict:
    """Returns the constants as plain data."""
    return {
      **super().get_config(),
      "beta_1": self._beta_1,
      "beta_2": self._beta_2,
      "epsilon": self._epsilon,
    }


def _rounded(beta: float) -> tf.Tensor:
  return tf.constant(float(np.float32(beta)), tf.float64)
