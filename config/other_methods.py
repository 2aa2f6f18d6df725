"""Configurations of the method's successors, told apart by the keys that only they have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from config.parsing import Place

_OWN = {"kp_detector_params"}  # a required section of ours that neither of them has
_MRAA = {"num_regions", "region_predictor_params", "pixelwise_flow_predictor_params"}
_TPSMM = {"num_tps", "multi_mask"}
_LEVELS = 3  # of sections, in which these keys are


def refuse_other_methods(tree: object, where: str) -> None:
    """Raise ConfigError for a tree of plain values that configures another method."""
    keys = set(_keys(tree, _LEVELS))
    for method, marks in (("MRAA", _MRAA), ("TPSMM", _TPSMM)):
        if keys & marks and not keys & _OWN:
            raise Place(where, None).error(
                f"a configuration of {method}, which is not supported here yet; give one of the "
                "first order motion model, such as config/vox-256.yaml"
            )


def _keys(tree: Any, levels: int) -> Iterator[str]:
    if not isinstance(tree, Mapping) or not levels:
        return
    for key, value in tree.items():
        if isinstance(key, str):
            yield key
        yield from _keys(value, levels - 1)
