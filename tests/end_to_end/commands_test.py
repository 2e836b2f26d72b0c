"""The commands as a user runs them: in a process of their own, on a small configuration."""

import pytest

from heavy_ranker import load_config
from heavy_ranker.full_run import train_evaluate_export
from tests.end_to_end.command_runner import run
from tests.heavy_ranker.small_run import write_config
from tfrecords.errors import DataError

BAZEL_SIZE = "large"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  path = tmp_path_factory.mktemp("commands")
  write_config(path)
  return path


def test_train_resume_evaluate_export(folder):
  flags = ["--config_path=small.yaml", "--export_dir=saved"]  # Relative to where it is run.
  first = run("heavy_ranker.train", *flags, cwd=folder)
  assert first.returncode == 0, first.stderr
  assert "step 6: loss" in first.stdout
  assert "AUROC" in first.stdout
  assert f"export       {folder}/saved/1" in first.stdout
  assert "saved_model_cli show --dir" in first.stdout
  assert (folder / "saved" / "1" / "saved_model.pb").exists()
  assert first.stderr == "", "the logs are quiet"

  again = run("heavy_ranker.train", *flags, "--set", "training.num_train_steps=8", cwd=folder)
  assert again.returncode == 0, again.stderr
  assert "resuming from" in again.stdout
  assert "step 6:" not in again.stdout
  assert "step 8: loss" in again.stdout
  assert (folder / "saved" / "2" / "saved_model.pb").exists()

  evaluated = run("heavy_ranker.evaluate", "--config_path=small.yaml", cwd=folder)
  assert evaluated.returncode == 0, evaluated.stderr
  assert "is_favorited" in evaluated.stdout

  score = 'score.weights."recap.engagement.is_favorited"=2'
  exported = run("heavy_ranker.export", *flags, "--set", score, "--version=12", cwd=folder)
  assert exported.returncode == 0, exported.stderr
  assert (folder / "saved" / "12" / "assets.extra" / "score.json").exists()

  taken = run("heavy_ranker.export", *flags, "--version=12", cwd=folder)
  assert taken.returncode == 4
  assert "exists already" in taken.stderr


@pytest.mark.parametrize(
  ("override", "exit_code", "words"),
  [
    ("training.num_train_stepz=3", 2, "did you mean 'num_train_steps'"),
    ("train_data.global_batch_size=many", 2, "train_data.global_batch_size: found 'many' (str)"),
    ("which_metrics=[rce]", 2, "which_metrics: found 'rce', an unknown metric"),
    ("train_data.inputs=nowhere/*.gz", 3, "no file matches"),
    ("training.save_dir=small.yaml/run", 4, "training.save_dir"),
    ("train_data.inputs=${NOT_SET_HERE}/x", 2, "NOT_SET_HERE, which is not set"),
    ("no equals sign", 2, "dotted.key=value"),
  ],
)
def test_what_cannot_work_is_one_message_and_an_exit_code(folder, override, exit_code, words):
  done = run("heavy_ranker.train", "--config_path=small.yaml", "--set", override, cwd=folder)
  assert done.returncode == exit_code, done.stdout + done.stderr
  assert words in done.stderr
  assert done.stderr.startswith("error: ")
  assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
  ("override", "words"),
  [
    ("train_data.global_batch_size=5000", "allowed: at most 120"),
    ("validation_data.validation.inputs=none/*.gz", "validation_data.validation.inputs: no file"),
  ],
)
def test_what_is_wrong_with_data_is_said_before_training(folder, override, words, capsys):
  config = load_config(folder / "small.yaml", [override, f"training.save_dir={folder / 'no_run'}"])
  with pytest.raises(DataError, match=words):
    train_evaluate_export(config)
  assert "step" not in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--follow", "--checkpoint=x"], ["--again"]])
def test_flags_of_evaluate_that_contradict_each_other_are_refused(folder, flags):
  done = run("heavy_ranker.evaluate", "--config_path=small.yaml", *flags, cwd=folder)
  assert done.returncode == 2
  assert done.stderr.startswith(f"error: {flags[-1].split('=')[0]}: found")


@pytest.mark.parametrize("command", ["train", "evaluate", "export"])
def test_help_names_the_shared_flags_and_an_example(command, tmp_path):
  done = run(f"heavy_ranker.{command}", "--help", cwd=tmp_path)
  for words in ("--config_path", "--set", f"./bazelw run //heavy_ranker:{command}"):
    assert words in done.stdout


def test_an_export_that_could_not_be_written_is_found_before_training(folder):
  flags = ["--config_path=small.yaml", "--export_dir=small.yaml/saved"]
  done = run("heavy_ranker.train", *flags, "--set", "training.num_train_steps=99", cwd=folder)
  assert done.returncode == 4
  assert "--export_dir" in done.stderr
  assert "step" not in done.stdout


def test_export_before_training_says_what_to_do(folder):
  save_dir = f"training.save_dir={folder / 'none'}"
  done = run("heavy_ranker.export", "--config_path=small.yaml", "--set", save_dir, cwd=folder)
  assert done.returncode == 5
  assert "Train first with //heavy_ranker:train" in done.stderr
