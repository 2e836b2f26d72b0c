"""The export's entry points: dense inputs, or serialized records, to score and probabilities."""

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config import HeavyRankerConfig
from heavy_ranker.features import unread_in_serving
from heavy_ranker.serving.rank_inputs import rank_inputs
from heavy_ranker.serving.rank_signature import RANK, make_rank
from tfrecords import parsing, preprocessing, schema

SERVING_DEFAULT = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
SCORE_EXAMPLES = "score_examples"


class ServingModule(tf.Module):
  """The ranker's weights with the signatures' functions on them, and nothing of Keras.

  Args:
    config: the whole configuration.
    ranker: the model from `build_model`, with its weights.

  Attributes:
    input_dtypes: dtype by name of the inputs that `serving_default` takes.
    parse: from `make_raw_parser`, for these inputs.
    rank_inputs: how `rank` divides them.
  """

  def __init__(self, config: HeavyRankerConfig, ranker: keras.Model):
    super().__init__(name="heavy_ranker")
    self.weights = list(ranker.variables)
    unread = unread_in_serving(config)
    self._predict = make_predict(ranker, list(config.model.tasks), unread)
    specs = {
      name: tf.TensorSpec(tensor.shape, tensor.dtype, name)
      for name, tensor in ranker.input.items()
      if name not in unread
    }
    self.input_dtypes = {name: spec.dtype for name, spec in specs.items()}
    self.parse = make_raw_parser(config, tuple(specs))
    self.rank_inputs = rank_inputs(config, {name: spec.shape[-1] for name, spec in specs.items()})
    self.serving_default = self._make_serving_default(specs)
    self.score_examples = self._make_score_examples()
    self.rank = make_rank(self._predict, self.rank_inputs, self.input_dtypes)

  def functions(self) -> dict[str, Callable]:
    """Returns the function of each signature, by the signature's name."""
    return {
      SERVING_DEFAULT: self.serving_default,
      SCORE_EXAMPLES: self.score_examples,
      RANK: self.rank,
    }

  def _make_serving_default(self, specs: Mapping[str, tf.TensorSpec]) -> Callable:
    predict = self._predict

    @tf.function(autograph=False)
    def serving_default(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
      return predict(inputs)

    return serving_default.get_concrete_function(**specs)

  def _make_score_examples(self) -> Callable:
    predict, parse = self._predict, self.parse

    @tf.function(autograph=False)
    def score_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
      return predict(parse(examples))

    return score_examples.get_concrete_function(tf.TensorSpec([None], tf.string, "examples"))


def make_predict(
  ranker: keras.Model, tasks: list[str], unread: Sequence[str] = ()
) -> Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]:
  """Returns what all signatures compute.

  Args:
    ranker: the model from `build_model`.
    tasks: the model's tasks in order.
    unread: inputs that make no difference and are not asked for, see `unread_in_serving`.

  The function maps the ranker's inputs to `score` [batch], `probabilities` [batch, tasks] and
  each task's probability [batch] under the task's name. Probabilities are the calibrated ones,
  those that enter the score.
  """

  def predict(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    batch = tf.shape(next(iter(inputs.values())))[0]
    zeros = {name: _zeros_for(ranker.input[name], batch) for name in unread}
    outputs = ranker({**zeros, **inputs}, training=False)
    probabilities = outputs["calibrated_probabilities"]
    columns = tf.unstack(probabilities, num=len(tasks), axis=1)
    return {
      "score": outputs["score"],
      "probabilities": probabilities,
      **dict(zip(tasks, columns)),
    }

  return predict


def _zeros_for(symbolic_input: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
  return tf.zeros([batch, symbolic_input.shape[-1]], symbolic_input.dtype)


def make_raw_parser(
  config: HeavyRankerConfig, inputs: tuple[str, ...]
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
  """Returns a function of serialized tf.Examples [batch] to the ranker's inputs.

  It applies the preprocessing that training applied: the records are those of `train_data`, with
  all their values. Labels are not looked at; an absent feature reads as 0.
  """
  section = config.train_data
  known = schema.features_of(section)
  preprocessor = preprocessing.Preprocessor(section.preprocess)
  outputs = preprocessor.outputs(known, section.tasks, inputs)
  chosen = {name: outputs[name] for name in inputs}
  parse = parsing.make_parser({name: known[name] for name in preprocessor.sources(inputs)})

  def parse_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
    positions = tf.strings.as_string(tf.range(tf.shape(examples)[0]))
    names = tf.strings.join(["example ", positions])
    return preprocessing.model_inputs(preprocessor(parse(examples, names)), chosen)

  return parse_examples
