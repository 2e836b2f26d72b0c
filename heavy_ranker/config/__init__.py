"""The configuration: one file a section, checked in full before anything runs."""

from heavy_ranker.config.heavy_ranker_config import HeavyRankerConfig, load_config

__all__ = ["HeavyRankerConfig", "load_config"]
