"""Bounds of sizes in the configuration, far above what is sensible.

They are there for slips of the keyboard: what is beyond them ends a process by its memory or its
threads, without a word. What is below may still be too much for a machine.
"""

from typing import Annotated

import pydantic

# Threads, files or services side by side.
Parallelism = Annotated[int, pydantic.Field(gt=0, le=1024)]
# Examples of a batch.
BatchSize = Annotated[int, pydantic.Field(gt=0, le=2**20)]
# Examples in a shuffle buffer, for each of which TensorFlow takes memory in advance.
BufferSize = Annotated[int, pydantic.Field(ge=0, le=2**27)]
# Units of a layer, columns of an embedding.
Width = Annotated[int, pydantic.Field(gt=0, le=2**15)]
# Layers, blocks, levels or experts.
LayerCount = Annotated[int, pydantic.Field(gt=0, le=256)]
LayerWidths = Annotated[list[Width], pydantic.Field(max_length=256)]
# Rows of a table.
RowCount = Annotated[int, pydantic.Field(gt=0, le=2**31 - 2)]
# Batches of one update or one call.
BatchCount = Annotated[int, pydantic.Field(gt=0, le=2**16)]

# Values of one feature.
MOST_FEATURE_VALUES = 2**22
# Numbers of one table.
MOST_TABLE_ELEMENTS = 2**36
