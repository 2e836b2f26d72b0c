"""The files of configs/cluster: they parse, hold to Kubernetes' schemas, and fit one another."""

import functools
import json
import os
import pathlib
import re
import subprocess

import kubernetes_validate
import pytest
import yaml

from tfrecords import errors, paths

BAZEL_DATA = ["//configs:all", "//:sources"]

_FOLDER = pathlib.Path(paths.package_root()) / "configs" / "cluster"
_MANIFESTS = ("storage", "training_job", "training_tfjob", "data_service", "serving")
_KUBERNETES = "1.29"


def _render(*names, values=None):
  environment = {**os.environ, **({"VALUES": str(values)} if values else {})}
  return subprocess.run(
    ["sh", str(_FOLDER / "render.sh"), *names], capture_output=True, text=True, env=environment
  )


@functools.cache
def _objects(name):
  done = _render(name)
  assert done.returncode == 0, done.stderr
  return [found for found in yaml.safe_load_all(done.stdout) if found]


def _object(name, kind):
  (found,) = (found for found in _objects(name) if found["kind"] == kind)
  return found


def _pod_templates():
  for name in _MANIFESTS:
    for found in _objects(name):
      spec = found["spec"]
      if found["kind"] == "TFJob":
        yield name, found["metadata"]["name"], spec["tfReplicaSpecs"]["Worker"]["template"]
      elif "template" in spec:
        yield name, found["metadata"]["name"], spec["template"]


def _containers():
  for _, _, template in _pod_templates():
    for container in template["spec"]["containers"]:
      yield template["spec"], container


@pytest.mark.parametrize("name", _MANIFESTS)
def test_objects_hold_to_the_schemas(name):
  for found in _objects(name):
    if found["apiVersion"].startswith("kubeflow.org/"):
      template = found["spec"]["tfReplicaSpecs"]["Worker"]["template"]
      pod = {"apiVersion": "v1", "kind": "Pod", **template}
      pod["metadata"] = {**pod["metadata"], "name": "worker"}
      kubernetes_validate.validate(pod, _KUBERNETES, strict=True)
    else:
      kubernetes_validate.validate(found, _KUBERNETES, strict=True)


def test_a_mistake_would_show():
  service = json.loads(json.dumps(_object("training_job", "Service")))
  service["spec"]["clusterIp"] = service["spec"].pop("clusterIP")
  with pytest.raises(kubernetes_validate.ValidationError):
    kubernetes_validate.validate(service, _KUBERNETES, strict=True)


def test_the_tfjob_is_as_its_operator_reads_it():
  job = _object("training_tfjob", "TFJob")
  assert job["apiVersion"] == "kubeflow.org/v1"
  assert set(job["spec"]) <= {"successPolicy", "runPolicy", "tfReplicaSpecs"}
  assert set(job["spec"]["runPolicy"]) <= {"cleanPodPolicy", "backoffLimit"}
  worker = job["spec"]["tfReplicaSpecs"]["Worker"]
  assert set(worker) == {"replicas", "restartPolicy", "template"}
  assert isinstance(worker["replicas"], int)
  (container,) = worker["template"]["spec"]["containers"]
  assert container["name"] == "tensorflow"
  assert "tfjob-port" in {port["name"] for port in container["ports"]}


def test_services_and_budgets_select_pods_that_exist():
  labels = [template["metadata"]["labels"] for _, _, template in _pod_templates()]
  for name in _MANIFESTS:
    for found in _objects(name):
      selector = found["spec"].get("selector") or {}
      selector = selector.get("matchLabels", selector)
      assert any(selector.items() <= own.items() for own in labels), found["metadata"]["name"]


def test_volumes_are_claimed_and_mounted():
  claim = _object("storage", "PersistentVolumeClaim")["metadata"]["name"]
  claims = {"journal"}
  for pod, container in _containers():
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted <= set(volumes) | claims
    for volume in volumes.values():
      assert volume.get("persistentVolumeClaim", {}).get("claimName", claim) == claim


def test_no_container_is_more_than_it_has_to_be():
  for pod, container in _containers():
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"cpu", "memory"} <= set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("index", [0, 2])
def test_the_indexed_job_tells_each_worker_who_it_is(tmp_path, index):
  (container,) = _object("training_job", "Job")["spec"]["template"]["spec"]["containers"]
  program = tmp_path / "python"
  program.write_text('#!/bin/sh\nprintf "%s\\n" "$TF_CONFIG" "$*"\n')
  program.chmod(0o755)
  done = subprocess.run(
    container["command"],
    capture_output=True,
    text=True,
    env={
      "PATH": f"{tmp_path}:{os.environ['PATH']}",
      "WORKERS": "3",
      "JOB_COMPLETION_INDEX": str(index),
      "CONFIG_PATH": "/data/my train.yaml",
      "EXPORT_DIR": "/data/exports",
    },
  )
  assert done.returncode == 0, done.stderr
  config, arguments = done.stdout.splitlines()
  assert json.loads(config) == {
    "cluster": {"worker": [f"training-{number}.training:2222" for number in range(3)]},
    "task": {"type": "worker", "index": index},
  }
  flags = "--config_path=/data/my train.yaml --export_dir=/data/exports"
  assert arguments.startswith(f"-m heavy_ranker.train {flags} --set training.workers.")


def test_the_indexed_job_names_its_pods_as_its_service_does():
  job, service = _object("training_job", "Job"), _object("training_job", "Service")
  assert job["metadata"]["name"] == service["metadata"]["name"] == "training"
  assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]
  assert service["spec"]["ports"][0]["port"] == 2222


def test_the_indexed_job_restarts_what_a_restart_can_mend():
  rules = _object("training_job", "Job")["spec"]["podFailurePolicy"]["rules"]
  actions = {
    code: rule["action"] for rule in rules for code in rule.get("onExitCodes", {}).get("values", [])
  }
  for error in (
    errors.ConfigError,
    errors.DataError,
    errors.StorageError,
    errors.CheckpointError,
    errors.TrainingError,
  ):
    assert actions.pop(error.exit_code) == "FailJob"
  assert set(actions.values()) == {"Ignore"}


def test_commands_are_modules_of_the_project():
  root = pathlib.Path(paths.package_root())
  for _, container in _containers():
    command = container["command"] if "-m" in container["command"] else []
    for module in command[command.index("-m") + 1 :][:1] if command else []:
      path = root / (module.replace(".", "/") + ".py")
      assert path.is_file(), module
      defined = set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', path.read_text()))
      flags = {part[2:].split("=")[0] for part in command if part.startswith("--")}
      assert flags <= defined | {"config_path", "set"}, module


def test_the_server_reads_the_files_of_its_config_map():
  (container,) = _object("serving", "Deployment")["spec"]["template"]["spec"]["containers"]
  files = {path.name for path in (_FOLDER.parent / "serving").iterdir()}
  named = {arg.split("/serving/")[1] for arg in container["args"] if "/serving/" in arg}
  assert named == files
  models = (_FOLDER.parent / "serving" / "models.config").read_text()
  model = re.search(r'name: "(\w+)"', models).group(1)
  mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
  assert f'base_path: "/models/{model}"' in models and "/models" in mounts
  path = container["readinessProbe"]["httpGet"]["path"]
  assert path == f"/v1/models/{model}/labels/stable/metadata"
  monitoring = (_FOLDER.parent / "serving" / "monitoring.config").read_text()
  annotations = _object("serving", "Deployment")["spec"]["template"]["metadata"]["annotations"]
  assert f'path: "{annotations["prometheus.io/path"]}"' in monitoring


def test_the_autoscaler_asks_for_the_metric_that_the_adapter_makes():
  (metric,) = _object("serving", "HorizontalPodAutoscaler")["spec"]["metrics"]
  rules = yaml.safe_load((_FOLDER / "prometheus_adapter.yaml").read_text())["rules"]["custom"]
  assert metric["pods"]["metric"]["name"] in [rule["name"]["as"] for rule in rules]


def test_every_value_is_used_and_nothing_else_is_open():
  names = re.findall(r"^([A-Z_]+)=", (_FOLDER / "values.env").read_text(), re.M)
  assert len(names) == len(set(names))
  manifests = "".join((_FOLDER / f"{name}.yaml").read_text() for name in _MANIFESTS)
  assert set(re.findall(r"\$\{([A-Z_]+)\}", manifests)) == set(names)


def test_values_can_come_from_another_file(tmp_path):
  values = tmp_path / "values.env"
  text = (_FOLDER / "values.env").read_text().replace("WORKERS=2", "WORKERS=64")
  values.write_text(text)
  done = _render("training_job", values=values)
  assert "completions: 64\n" in done.stdout


@pytest.mark.parametrize(
  "names, change, words",
  [
    ((), None, "render.sh storage training_job | kubectl apply"),
    (("storge",), None, "storge.yaml: there is no such manifest"),
    (("storage",), ("STORAGE_SIZE=500Gi", ""), "has no value for these"),
    (("storage",), ("=shared", "=a|b"), "found | & or a backslash"),
  ],
)
def test_render_says_what_is_wrong(tmp_path, names, change, words):
  values = None
  if change is not None:
    values = tmp_path / "values.env"
    values.write_text((_FOLDER / "values.env").read_text().replace(*change))
  done = _render(*names, values=values)
  assert done.returncode == 2
  assert done.stdout == "" and words in done.stderr


def test_render_says_which_values_file_is_missing(tmp_path):
  done = _render("storage", values=tmp_path / "nowhere")
  assert done.returncode == 2 and "nowhere cannot be read" in done.stderr


def test_the_image_is_built_from_files_that_exist():
  root = pathlib.Path(paths.package_root())
  lines = (_FOLDER / "Dockerfile").read_text().splitlines()
  copied = [part for line in lines if line.startswith("COPY") for part in line.split()[1:-1]]
  ignored = (_FOLDER / "Dockerfile.dockerignore").read_text().split()
  assert copied and all((root / path).exists() for path in copied)
  assert {f"!{path}" for path in copied} == {line for line in ignored if line.startswith("!")}
  assert any(re.fullmatch(r"USER [1-9]\d*:\d+", line) for line in lines)


def test_the_gpu_image_asks_for_the_same_tensorflow():
  root = pathlib.Path(paths.package_root())
  dockerfile = (_FOLDER / "Dockerfile").read_text()
  (script,) = re.findall(r"sed -i '([^']+)' requirements.txt", dockerfile)
  done = subprocess.run(
    ["sed", script, str(root / "requirements.txt")], capture_output=True, text=True, check=True
  )
  before = (root / "requirements.txt").read_text()
  changed = [line for line in done.stdout.splitlines() if line not in before.splitlines()]
  assert len(changed) == 1 and re.match(r"tensorflow\[and-cuda\]==[\d.]+ ", changed[0])
