"""The records' part of the configuration, and the machinery all parts share."""
