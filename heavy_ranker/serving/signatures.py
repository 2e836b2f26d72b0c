"""The export's entry points: dense inputs, or serialized records, to score and probabilities."""

from collections.abc import Callable, Mapping

import tensorflow as tf
import tf_keras as keras

from heavy_ranker.config import HeavyRankerConfig
from tfrecords import parsing, preprocessing, schema

SERVING_DEFAULT = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
SCORE_EXAMPLES = "score_examples"


class ServingModule(tf.Module):
  """The ranker's weights with two functions on them, and nothing of Keras.

  Args:
    config: the whole configuration.
    ranker: the model from `build_model`, with its weights.
  """

  def __init__(self, config: HeavyRankerConfig, ranker: keras.Model):
    super().__init__(name="heavy_ranker")
    self.weights = list(ranker.variables)
    self._predict = make_predict(ranker, list(config.model.tasks))
    self._parse = make_raw_parser(config, tuple(ranker.input))
    widths = {name: int(tensor.shape[-1]) for name, tensor in ranker.input.items()}
    self.serving_default = self._make_serving_default(widths)
    self.score_examples = self._make_score_examples()

  def functions(self) -> dict[str, Callable]:
    """Returns the concrete function of each signature, by the signature's name."""
    return {SERVING_DEFAULT: self.serving_default, SCORE_EXAMPLES: self.score_examples}

  def _make_serving_default(self, widths: Mapping[str, int]) -> Callable:
    predict = self._predict

    @tf.function(autograph=False)
    def serving_default(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
      return predict(inputs)

    return serving_default.get_concrete_function(
      **{name: tf.TensorSpec([None, width], tf.float32, name) for name, width in widths.items()}
    )

  def _make_score_examples(self) -> Callable:
    predict, parse = self._predict, self._parse

    @tf.function(autograph=False)
    def score_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
      return predict(parse(examples))

    return score_examples.get_concrete_function(tf.TensorSpec([None], tf.string, "examples"))


def make_predict(
  ranker: keras.Model, tasks: list[str]
) -> Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]:
  """Returns what both signatures compute.

  The function maps the ranker's inputs to `score` [batch], `probabilities` [batch, tasks] and
  each task's probability [batch] under the task's name. Probabilities are the calibrated ones,
  those that enter the score.
  """

  def predict(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    outputs = ranker(dict(inputs), training=False)
    probabilities = outputs["calibrated_probabilities"]
    columns = tf.unstack(probabilities, num=len(tasks), axis=1)
    return {
      "score": outputs["score"],
      "probabilities": probabilities,
      **dict(zip(tasks, columns)),
    }

  return predict


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
