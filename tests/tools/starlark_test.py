from tools import starlark


def test_rule_orders_attributes_and_leaves_out_empty_ones():
  text = starlark.rule(
    "py_library",
    deps=[":b"],
    tags=["x"],
    data=[],
    srcs=["a.py"],
    testonly=True,
    name="a",
    size=None,
  )
  assert text == (
    "py_library(\n"
    '    name = "a",\n'
    "    testonly = True,\n"
    '    srcs = ["a.py"],\n'
    '    tags = ["x"],\n'
    '    deps = [":b"],\n'
    ")\n"
  )


def test_string_list_sorts_own_labels_first_and_folders_before_what_is_in_them():
  labels = ["@x//:y", "//a/b:c", "//a:z", ":own", "file.py", "//a:z", "//a-b:c"]
  lines = starlark.string_list(labels).split("\n")
  assert [line.strip(' ,"') for line in lines[1:-1]] == [
    "file.py",
    ":own",
    "//a:z",
    "//a-b:c",
    "//a/b:c",
    "@x//:y",
  ]
  assert lines[-1] == "    ]"


def test_short_lists_take_one_line():
  assert starlark.string_list([]) == "[]"
  assert starlark.string_list([":a", ":a"]) == '[":a"]'


def test_expressions_stay_as_they_are():
  text = starlark.rule("filegroup", name="x", srcs=starlark.Expression('glob(["*.py"])'))
  assert '    srcs = glob(["*.py"]),\n' in text
