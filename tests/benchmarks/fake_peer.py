"""A peer that measures nothing; prints what the benchmarks expect of one."""

import json
import sys


def main() -> None:
  """Prints 10 examples a second at the batch size of training, and size + 100 when scoring."""
  sizes = [int(flag.split("=")[1]) for flag in sys.argv[1:] if flag.startswith("--batch_size=")]
  print("warming up")
  figures = {"train": {size: 10.0 for size in sizes}, "score": {n: n + 100.0 for n in (1, 5)}}
  print(json.dumps(figures))


if __name__ == "__main__":
  main()
