"""The `model` section: featurization, backbone, towers."""

from typing import Literal, Optional

import pydantic

from tfrecords.config.strict_model import StrictModel, inconsistent


class BatchNormConfig(StrictModel):
  """Batch normalization.

  Attributes:
    affine: with a trainable scale and offset.
    momentum: weight of the NEW batch in the running statistics (PyTorch's convention; Keras's
      momentum is 1 minus this).
  """

  affine: bool = True
  momentum: float = pydantic.Field(default=0.1, gt=0.0, le=1.0)


class LayerNormConfig(StrictModel):
  """Layer normalization over the last axis."""

  axis: Literal[-1] = -1
  center: bool = True
  epsilon: pydantic.NonNegativeFloat = 0.0
  scale: bool = True


class DropoutConfig(StrictModel):
  """The share of activations dropped in training, in [0, 1)."""

  rate: float = pydantic.Field(default=0.1, ge=0.0, lt=1.0)


class MlpConfig(StrictModel):
  """A stack of dense layers; ReLU after all but the last."""

  layer_sizes: list[pydantic.PositiveInt] = pydantic.Field(min_length=1)
  batch_norm: Optional[BatchNormConfig] = None
  dropout: Optional[DropoutConfig] = None
  final_layer_activation: bool = False


class MaskBlockConfig(StrictModel):
  """One block of MaskNet."""

  exactly_one_of = (("reduction_factor", "aggregation_size"),)

  output_size: pydantic.PositiveInt
  reduction_factor: Optional[pydantic.PositiveFloat] = None
  aggregation_size: Optional[pydantic.PositiveInt] = None
  input_layer_norm: bool = False


class MaskNetConfig(StrictModel):
  """MaskNet: parallel or serial blocks, then an optional MLP."""

  mask_blocks: list[MaskBlockConfig] = pydantic.Field(min_length=1)
  mlp: Optional[MlpConfig] = None
  use_parallel: bool = False


class DcnConfig(StrictModel):
  """Deep and cross network, version 2.

  Attributes:
    poly_degree: number of cross layers.
    projection_dim: rank of their matrices; full when absent.
    use_parallel: `parallel_mlp` reads the input; otherwise what the cross layers put out.
  """

  poly_degree: pydantic.PositiveInt
  projection_dim: Optional[pydantic.PositiveInt] = None
  parallel_mlp: Optional[MlpConfig] = None
  use_parallel: bool = False
  output_mlp: Optional[MlpConfig] = None


class DlrmConfig(StrictModel):
  """Deep learning recommendation model; `bottom_mlp` ends in the width of the embeddings."""

  bottom_mlp: MlpConfig
  top_mlp: MlpConfig


class AffineMapConfig(StrictModel):
  """Initial values of a trainable scale and bias on a tower's logit."""

  scale: pydantic.FiniteFloat = 1.0
  bias: pydantic.FiniteFloat = 0.0


class TaskModelConfig(StrictModel):
  """An architecture: the backbone's, or a task's tower."""

  exactly_one_of = (("mlp_config", "dcn_config", "dlrm_config", "mask_net_config"),)
  mlp_config: Optional[MlpConfig] = None
  dcn_config: Optional[DcnConfig] = None
  dlrm_config: Optional[DlrmConfig] = None
  mask_net_config: Optional[MaskNetConfig] = None
  affine_map: Optional[AffineMapConfig] = None
  pos_weight: pydantic.PositiveFloat = 1.0


class PretrainedConfig(StrictModel):
  """Where a table's initial rows come from."""

  emb_name: str
  embedding_snapshot_uri: str


class LargeEmbeddingTable(StrictModel):
  """A table over one sparse id; `name` is the input feature that holds the id."""

  name: str
  num_embeddings: pydantic.PositiveInt
  embedding_dim: pydantic.PositiveInt
  vocab: Optional[str] = None
  pretrained: Optional[PretrainedConfig] = None


class LargeEmbeddingOptimizer(StrictModel):
  """The tables' own learning rate."""

  learning_rate: pydantic.NonNegativeFloat
  init_learning_rate: Optional[pydantic.NonNegativeFloat] = None


class LargeEmbeddingsConfig(StrictModel):
  """Tables over sparse ids."""

  tables: list[LargeEmbeddingTable]
  optimizer: LargeEmbeddingOptimizer
  tables_to_log: Optional[list[str]] = None


class SmallEmbeddingTable(StrictModel):
  """A table over one column of `discrete`."""

  name: str
  num_embeddings: pydantic.PositiveInt
  embedding_dim: pydantic.PositiveInt
  index: pydantic.NonNegativeInt


class SmallEmbeddingsConfig(StrictModel):
  """Tables over columns of `discrete`."""

  tables: list[SmallEmbeddingTable]


class PositionDebiasConfig(StrictModel):
  """An embedding of the position, dropped at random in training and left out in serving."""

  max_position: pydantic.PositiveInt = 256
  num_dims: pydantic.PositiveInt = 64
  drop_probability: float = pydantic.Field(default=0.5, ge=0.0, le=1.0)
  position_feature_index: pydantic.NonNegativeInt = 51


class Log1pAbsConfig(StrictModel):
  """sign(x) log(1 + |x|)."""


class ClipLog1pAbsConfig(StrictModel):
  """sign(x) log(1 + |x|), clipped."""

  clip_magnitude: pydantic.PositiveFloat = 10.0


class ZScoreLogConfig(StrictModel):
  """sign(x) log(1 + |x|), standardized with statistics from a file, clipped."""

  analysis_path: str
  schema_path: Optional[str] = None
  clip_magnitude: pydantic.PositiveFloat = 10.0
  use_batch_norm: bool = False
  use_renorm: bool = False
  use_bq_stats: bool = False


class DoubleNormLogConfig(StrictModel):
  """sign(x) log(1 + |x|), batch norm, clip, join with the binaries, layer norm.

  Either norm is there only if it is given; `{}` gives it with its defaults.
  """

  batch_norm_config: Optional[BatchNormConfig] = None
  clip_magnitude: pydantic.PositiveFloat = 5.0
  layer_norm_config: Optional[LayerNormConfig] = None


class FeaturizationConfig(StrictModel):
  """Exactly one way to turn raw feature values into the network's input.

  Attributes:
    feature_names_to_concat: dense inputs joined to the right of the continuous ones.
  """

  exactly_one_of = (
    ("log1p_abs_config", "clip_log1p_abs_config", "z_score_log_config", "double_norm_log_config"),
  )
  not_supported_yet = ("z_score_log_config",)

  log1p_abs_config: Optional[Log1pAbsConfig] = None
  clip_log1p_abs_config: Optional[ClipLog1pAbsConfig] = None
  z_score_log_config: Optional[ZScoreLogConfig] = None
  double_norm_log_config: Optional[DoubleNormLogConfig] = None
  feature_names_to_concat: list[str] = pydantic.Field(default_factory=lambda: ["binary"])


class StratifierConfig(StrictModel):
  """Metrics over the examples whose discrete feature `index` holds `value`."""

  name: str
  index: pydantic.NonNegativeInt
  value: int


class ModelConfig(StrictModel):
  """The network: features, backbone, one tower a task."""

  not_supported_yet = (
    "large_embeddings",
    "small_embeddings",
    "position_debias_config",
  )

  tasks: dict[str, TaskModelConfig]
  large_embeddings: Optional[LargeEmbeddingsConfig] = None
  small_embeddings: Optional[SmallEmbeddingsConfig] = None
  position_debias_config: Optional[PositionDebiasConfig] = None
  featurization_config: FeaturizationConfig
  multi_task_type: Literal["share_all", "share_none", "share_partial"] = "share_all"
  backbone: Optional[TaskModelConfig] = None
  stratifiers: Optional[list[StratifierConfig]] = None

  @pydantic.model_validator(mode="after")
  def _no_stratifier_twice(self) -> "ModelConfig":
    names = [stratifier.name for stratifier in self.stratifiers or ()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
      raise inconsistent(
        f"stratifiers: found two named {twice[0]!r}, allowed: a name of its own for each"
      )
    return self

  @pydantic.model_validator(mode="after")
  def _check_shape(self) -> "ModelConfig":
    if not self.tasks:
      raise inconsistent("tasks: found no task, allowed: at least one")
    if self.multi_task_type != "share_none" and self.backbone is None:
      raise inconsistent(
        f"backbone: found none, allowed with multi_task_type {self.multi_task_type}: an "
        "architecture (only share_none does without)"
      )
    if self.multi_task_type == "share_none" and self.backbone is not None:
      raise inconsistent("backbone: found one, allowed with multi_task_type share_none: none")
    for task, tower in self.tasks.items():
      if tower.dlrm_config and self.multi_task_type != "share_none":
        raise inconsistent(
          f"tasks.{task}.dlrm_config: a tower on a backbone has no embeddings to interact, "
          "allowed: dlrm_config in the backbone, or in towers with multi_task_type share_none"
        )
      if tower.mlp_config and tower.mlp_config.layer_sizes[-1] != 1:
        raise inconsistent(
          f"tasks.{task}.mlp_config.layer_sizes: the last size is "
          f"{tower.mlp_config.layer_sizes[-1]}, allowed: 1, the task's logit"
        )
    return self
