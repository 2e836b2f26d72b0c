"""A peer's command: what it prints is taken, what it fails to do is said."""

import sys

import pytest

from benchmarks.peer import Peer
from tfrecords.errors import ConfigError

_PYTHON = sys.executable


def test_the_batch_size_is_handed_on():
  peer = Peer(" ".join([_PYTHON, "-m", "tests.benchmarks.fake_peer"]))
  found = peer.measure(7)
  assert peer.examples_per_second(found, "train", 7) == 10.0
  assert peer.examples_per_second(found, "score", 5) == 105.0
  assert peer.measure()["train"] == {}
  with pytest.raises(ConfigError, match="train.8: found None, allowed: examples a second"):
    peer.examples_per_second(found, "train", 8)


@pytest.mark.parametrize(
  ("command", "words"),
  [
    ("", "found nothing"),
    ("'open", "No closing quotation"),
    ("nowhere/peer", "nowhere/peer: cannot be run: .*No such file"),
    (f"{_PYTHON} -c \"import sys; sys.exit('no torch')\"", "ended with 1: no torch"),
    (f"{_PYTHON} -c pass", "found '', allowed: a JSON object"),
    (f'{_PYTHON} -c "print([])"', "allowed: a JSON object"),
  ],
)
def test_a_command_that_cannot_be_used(command, words):
  with pytest.raises(ConfigError, match=f"--peer_command: .*{words}"):
    Peer(command).measure()


@pytest.mark.parametrize("score", [None, [], {"1": "fast"}, {"1": 0}, {"1": True}, {"2": 3}])
def test_figures_that_are_none(score):
  with pytest.raises(ConfigError, match="score.1: found"):
    Peer("peer").examples_per_second({"score": score}, "score", 1)
