"""The `model` section: featurization, backbone, towers."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Optional

import pydantic

from heavy_ranker.config.fitted_log import FittedLogConfig
from heavy_ranker.config.optimizer import LearningRateConfig
from heavy_ranker.config.wide import WideConfig
from tfrecords.config.sizes import (
  MOST_TABLE_ELEMENTS,
  LayerCount,
  LayerWidths,
  RowCount,
  Width,
)
from tfrecords.config.strict_model import StrictModel, did_you_mean, inconsistent

# Names of tables become names of variables.
TableName = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]

# What else bears a name beside the tasks': the loss, a group of variables, outputs of the export.
RESERVED_TASK_NAMES = ("backbone", "large_embeddings", "loss", "probabilities", "score")


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

  layer_sizes: LayerWidths = pydantic.Field(min_length=1)
  batch_norm: Optional[BatchNormConfig] = None
  dropout: Optional[DropoutConfig] = None
  final_layer_activation: bool = False


class MaskBlockConfig(StrictModel):
  """One block of MaskNet."""

  exactly_one_of = (("reduction_factor", "aggregation_size"),)

  output_size: Width
  reduction_factor: Optional[float] = pydantic.Field(default=None, gt=0.0, le=16.0)
  aggregation_size: Optional[Width] = None
  input_layer_norm: bool = False


class MaskNetConfig(StrictModel):
  """MaskNet: parallel or serial blocks, then an optional MLP."""

  mask_blocks: list[MaskBlockConfig] = pydantic.Field(min_length=1, max_length=256)
  mlp: Optional[MlpConfig] = None
  use_parallel: bool = False


class DcnConfig(StrictModel):
  """Deep and cross network, version 2.

  Attributes:
    poly_degree: number of cross layers.
    projection_dim: rank of their matrices; full when absent.
    use_parallel: `parallel_mlp` reads the input; otherwise what the cross layers put out.
  """

  poly_degree: LayerCount
  projection_dim: Optional[Width] = None
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


# Architectures where they cannot stand, with the reason and the place where they can.
_MISPLACED = {
  "dlrm_config": "an expert reads one vector and has no embeddings to interact, allowed here: "
  "mlp_config, dcn_config, mask_net_config; dlrm_config itself can be the backbone",
  "mmoe_config": "experts are mixed for each task, in the backbone only, allowed: "
  "model.backbone.mmoe_config",
  "ple_config": "experts are mixed for each task, in the backbone only, allowed: "
  "model.backbone.ple_config",
}


class _ArchitectureConfig(StrictModel):
  """Says why an architecture cannot stand here, instead of calling its key unknown."""

  @pydantic.model_validator(mode="before")
  @classmethod
  def _check_place(cls, data: Any) -> Any:
    for key, why in _MISPLACED.items():
      if isinstance(data, Mapping) and data.get(key) is not None and key not in cls.model_fields:
        raise inconsistent(f"{key}: {why}")
    return data


class TaskModelConfig(_ArchitectureConfig):
  """An architecture: the backbone's, or a task's tower.

  Attributes:
    pos_weight: factor of the positive term of the task's loss.
    loss_weight: factor of the task's whole loss in the total; 0 only measures the task.
    l2: factor of the sum of the squares of its dense layers' kernels in the loss.
  """

  exactly_one_of = (("mlp_config", "dcn_config", "dlrm_config", "mask_net_config"),)
  mlp_config: Optional[MlpConfig] = None
  dcn_config: Optional[DcnConfig] = None
  dlrm_config: Optional[DlrmConfig] = None
  mask_net_config: Optional[MaskNetConfig] = None
  affine_map: Optional[AffineMapConfig] = None
  pos_weight: pydantic.PositiveFloat = 1.0
  loss_weight: pydantic.NonNegativeFloat = 1.0
  l2: pydantic.NonNegativeFloat = 0.0


class ExpertConfig(_ArchitectureConfig):
  """The network every expert of a backbone is a copy of, with initial weights of its own."""

  exactly_one_of = (("mlp_config", "dcn_config", "mask_net_config"),)
  mlp_config: Optional[MlpConfig] = None
  dcn_config: Optional[DcnConfig] = None
  mask_net_config: Optional[MaskNetConfig] = None


class MmoeConfig(StrictModel):
  """Multi-gate mixture of experts: all tasks share the experts, each has a gate.

  Attributes:
    gate_layer_sizes: hidden ReLU layers of a gate, before the softmax over the experts.
  """

  num_experts: LayerCount
  expert: ExpertConfig
  gate_layer_sizes: LayerWidths = pydantic.Field(default_factory=list)


class PleConfig(StrictModel):
  """Progressive layered extraction: shared experts, and experts of each task's own.

  Attributes:
    num_shared_experts: a level; without any the tasks would share nothing.
    num_task_experts: a level and task; without any it would be `mmoe_config`.
    gate_layer_sizes: hidden ReLU layers of a gate, before the softmax over the experts.
  """

  num_levels: LayerCount
  num_shared_experts: LayerCount
  num_task_experts: LayerCount
  expert: ExpertConfig
  gate_layer_sizes: LayerWidths = pydantic.Field(default_factory=list)


class BackboneConfig(TaskModelConfig):
  """What the towers share: one architecture for all, or experts mixed for each task."""

  exactly_one_of = (
    (
      "mlp_config",
      "dcn_config",
      "dlrm_config",
      "mask_net_config",
      "mmoe_config",
      "ple_config",
    ),
  )
  mmoe_config: Optional[MmoeConfig] = None
  ple_config: Optional[PleConfig] = None

  @pydantic.model_validator(mode="after")
  def _check_loss(self) -> "BackboneConfig":
    if "loss_weight" in self.model_fields_set:
      raise inconsistent("loss_weight: the backbone has no loss, allowed: model.tasks.TASK only")
    return self


class PretrainedConfig(StrictModel):
  """Where a table's initial rows come from.

  Attributes:
    emb_name: the array with the rows.
    embedding_snapshot_uri: an .npz file with that array, [n, embedding_dim], and `ids`, int64 [n].
  """

  emb_name: str
  embedding_snapshot_uri: str


class LargeEmbeddingTable(StrictModel):
  """A table over one sparse id.

  Attributes:
    name: the input feature that holds the id, or several that are averaged.
    num_embeddings: rows; there is one more for ids that have none.
    embedding_dim: width of a row.
    vocab: a text file with an id a line: the ids that have rows. Without it, an id is hashed.
    pretrained: initial rows; random when absent.
  """

  name: TableName
  num_embeddings: RowCount
  embedding_dim: Width
  vocab: Optional[str] = None
  pretrained: Optional[PretrainedConfig] = None

  @pydantic.model_validator(mode="after")
  def _check_size(self) -> "LargeEmbeddingTable":
    _require_table_size("num_embeddings", self.num_embeddings, self.embedding_dim)
    return self


class LargeEmbeddingOptimizer(StrictModel):
  """How the tables are trained: only the rows a batch looks up change.

  Attributes:
    learning_rate: a schedule, or a number for a constant.
    init_learning_rate: a constant, used when there is no `learning_rate`.
    algorithm: `sgd`, or `adagrad` (JMLR 12:2121, 2011), whose steps shrink with a row's use.
  """

  learning_rate: Optional[LearningRateConfig] = None
  init_learning_rate: Optional[pydantic.NonNegativeFloat] = None
  algorithm: Literal["sgd", "adagrad"] = "sgd"

  @pydantic.field_validator("learning_rate", mode="before")
  @classmethod
  def _number_is_constant(cls, value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {"constant": value} if is_number else value

  @pydantic.model_validator(mode="after")
  def _check_rate(self) -> "LargeEmbeddingOptimizer":
    if self.learning_rate is None and self.init_learning_rate is None:
      raise inconsistent(
        "learning_rate: found neither learning_rate nor init_learning_rate, allowed: a number or a "
        "schedule"
      )
    return self

  @property
  def schedule(self) -> LearningRateConfig:
    """The schedule in force."""
    return self.learning_rate or LearningRateConfig(constant=self.init_learning_rate)


class LargeEmbeddingsConfig(StrictModel):
  """Tables over sparse ids.

  Attributes:
    tables: one or more; their order is that of the parts of the network's input.
    optimizer: of all of them.
    tables_to_log: names of the tables whose rows' mean length is logged.
  """

  tables: list[LargeEmbeddingTable]
  optimizer: LargeEmbeddingOptimizer
  tables_to_log: Optional[list[str]] = None

  @pydantic.model_validator(mode="after")
  def _check_names(self) -> "LargeEmbeddingsConfig":
    names = [table.name for table in self.tables]
    _require_distinct(names)
    for index, name in enumerate(self.tables_to_log or ()):
      if name not in names:
        raise inconsistent(
          f"tables_to_log.{index}: no table is named {name!r}{did_you_mean(name, names)}; allowed: "
          f"{', '.join(names)}"
        )
    return self


class SmallEmbeddingTable(StrictModel):
  """A table over one column of `discrete`.

  Attributes:
    name: what it is called in the checkpoint.
    num_embeddings: values 0 to num_embeddings - 1 have a row each, all others share one more.
    embedding_dim: width of a row.
    index: the column.
    l2: factor of the sum of the squares of all its weights in the loss.
  """

  name: TableName
  num_embeddings: RowCount
  embedding_dim: Width
  index: pydantic.NonNegativeInt
  l2: pydantic.NonNegativeFloat = 0.0

  @pydantic.model_validator(mode="after")
  def _check_size(self) -> "SmallEmbeddingTable":
    _require_table_size("num_embeddings", self.num_embeddings, self.embedding_dim)
    return self


class SmallEmbeddingsConfig(StrictModel):
  """Tables over columns of `discrete`."""

  tables: list[SmallEmbeddingTable]

  @pydantic.model_validator(mode="after")
  def _check_names(self) -> "SmallEmbeddingsConfig":
    _require_distinct([table.name for table in self.tables])
    return self


def _require_table_size(key: str, rows: int, width: int) -> None:
  if rows * width > MOST_TABLE_ELEMENTS:
    raise inconsistent(
      f"{key}: found {rows} rows of {width} numbers, allowed: {MOST_TABLE_ELEMENTS} numbers in all"
    )


def _require_distinct(names: Iterable[str]) -> None:
  seen: set[str] = set()
  for index, name in enumerate(names):
    if name in seen:
      raise inconsistent(f"tables.{index}.name: found {name!r} again, allowed: each name once")
    seen.add(name)


class PositionDebiasConfig(StrictModel):
  """An embedding of the position, dropped at random in training and left out in serving.

  Attributes:
    max_position: positions 0 to max_position - 1 have a row each, all others share one more.
    num_dims: width of a row.
    drop_probability: how often an example is trained without its position.
    position_feature_index: the column of `discrete` that holds the position.
  """

  max_position: RowCount = 256
  num_dims: Width = 64
  drop_probability: float = pydantic.Field(default=0.5, ge=0.0, le=1.0)
  position_feature_index: pydantic.NonNegativeInt = 51

  @pydantic.model_validator(mode="after")
  def _check_size(self) -> "PositionDebiasConfig":
    _require_table_size("max_position", self.max_position, self.num_dims)
    return self


class Log1pAbsConfig(StrictModel):
  """sign(x) log(1 + |x|)."""


class ClipLog1pAbsConfig(StrictModel):
  """sign(x) log(1 + |x|), clipped."""

  clip_magnitude: pydantic.PositiveFloat = 10.0


class ZScoreLogConfig(StrictModel):
  """sign(x) log(1 + |x|), standardized with statistics from a file, clipped.

  Attributes:
    analysis_path: the file, as //tfrecords:analyze writes it. A new run reads it; checkpoints hold
      what it said.
    schema_path: the schema of the records that were analyzed: `continuous` has to have the same
      length there.
    clip_magnitude: bound of the standardized logs.
    use_batch_norm: batch normalization of the standardized logs, before the clip.
    use_renorm: batch renormalization in its place; needs `use_batch_norm`.
    use_bq_stats: the file holds a JSON object a column, as a warehouse exports a table.
  """

  analysis_path: str
  schema_path: Optional[str] = None
  clip_magnitude: pydantic.PositiveFloat = 10.0
  use_batch_norm: bool = False
  use_renorm: bool = False
  use_bq_stats: bool = False

  @pydantic.model_validator(mode="after")
  def _check_renorm(self) -> "ZScoreLogConfig":
    if self.use_renorm and not self.use_batch_norm:
      raise inconsistent(
        "use_renorm: found true without use_batch_norm, allowed: with use_batch_norm: true, since "
        "it is a way of batch normalization"
      )
    return self


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
    (
      "log1p_abs_config",
      "clip_log1p_abs_config",
      "z_score_log_config",
      "double_norm_log_config",
      "fitted_log_config",
    ),
  )

  log1p_abs_config: Optional[Log1pAbsConfig] = None
  clip_log1p_abs_config: Optional[ClipLog1pAbsConfig] = None
  z_score_log_config: Optional[ZScoreLogConfig] = None
  double_norm_log_config: Optional[DoubleNormLogConfig] = None
  fitted_log_config: Optional[FittedLogConfig] = None
  feature_names_to_concat: list[str] = pydantic.Field(default_factory=lambda: ["binary"])

  @pydantic.model_validator(mode="after")
  def _check_names(self) -> "FeaturizationConfig":
    joined = ["continuous", *self.feature_names_to_concat]
    twice = sorted({name for name in joined if joined.count(name) > 1})
    if twice:
      raise inconsistent(
        f"feature_names_to_concat: {twice[0]!r} would be joined twice (continuous comes first "
        "anyway), allowed: once"
      )
    return self


class StratifierConfig(StrictModel):
  """Metrics over the examples whose discrete feature `index` holds `value`."""

  name: str
  index: pydantic.NonNegativeInt
  value: int


class ModelConfig(StrictModel):
  """The network: features, backbone, one tower a task.

  Attributes:
    task_loss_reduction: how the tasks' losses become one, see
      `heavy_ranker.training.task_loss_reduction`.
  """

  tasks: dict[str, TaskModelConfig]
  large_embeddings: Optional[LargeEmbeddingsConfig] = None
  small_embeddings: Optional[SmallEmbeddingsConfig] = None
  position_debias_config: Optional[PositionDebiasConfig] = None
  featurization_config: FeaturizationConfig
  wide_config: Optional[WideConfig] = None
  multi_task_type: Literal["share_all", "share_none", "share_partial"] = "share_all"
  backbone: Optional[BackboneConfig] = None
  task_loss_reduction: Literal["mean", "sum", "uncertainty"] = "mean"
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
    if not any(tower.loss_weight for tower in self.tasks.values()):
      raise inconsistent("tasks: found loss_weight 0 for every task, allowed: at least one above 0")
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
      _check_tower(task, tower)
    backbone = self.backbone
    if backbone is not None and (backbone.affine_map is not None or backbone.pos_weight != 1.0):
      raise inconsistent("backbone: found affine_map or pos_weight, allowed: under tasks only")
    return self


def _check_tower(task: str, tower: TaskModelConfig) -> None:
  """A tower ends in one unit, that of a last dense layer."""
  if task in RESERVED_TASK_NAMES:
    raise inconsistent(
      f"tasks.{task}: the name is taken, allowed: any but {', '.join(RESERVED_TASK_NAMES)}"
    )
  key, last = _last_mlp(tower)
  if last is None:
    raise inconsistent(
      f"tasks.{task}.{key}: found none, allowed in a tower: layer_sizes that end in 1, the "
      "task's logit"
    )
  if last.layer_sizes[-1] != 1:
    raise inconsistent(
      f"tasks.{task}.{key}.layer_sizes: the last size is {last.layer_sizes[-1]}, allowed: 1, the "
      "task's logit"
    )


def _last_mlp(tower: TaskModelConfig) -> tuple[str, Optional[MlpConfig]]:
  """Returns the MLP an architecture ends in, or None, and its key."""
  if tower.mlp_config is not None:
    return "mlp_config", tower.mlp_config
  if tower.dlrm_config is not None:
    return "dlrm_config.top_mlp", tower.dlrm_config.top_mlp
  if tower.mask_net_config is not None:
    return "mask_net_config.mlp", tower.mask_net_config.mlp
  deep = tower.dcn_config
  if deep.output_mlp is None and deep.parallel_mlp is not None and not deep.use_parallel:
    return "dcn_config.parallel_mlp", deep.parallel_mlp
  return "dcn_config.output_mlp", deep.output_mlp
