"""The kinds of LoRA, by the tensors that make them, and what their shapes must be (no torch).

Names: kohya-ss/sd-scripts `networks/lora.py` for lora, KohakuBlueleaf/LyCORIS `lycoris/modules` for the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal, TypeVar

from ksh_studio.lora.file.names import module_of, role_of

Kind = Literal["lora", "dora", "loha", "lokr"]
Shape = tuple[int, ...]
T = TypeVar("T")
CORES = frozenset(("lora_down", "hada_w1_b", "lokr_w1", "lokr_w1_b"))
"""Roles of which every module of a LoRA has one."""


@dataclass(frozen=True)
class Measured:
    """What the shapes of one module's tensors say."""

    kind: Kind
    rank: int | None
    """None for a lokr of two whole matrices, which has none."""
    outside: int
    """Rows of the change: the module's output size."""
    inside: int
    """Columns of the change: the module's input size, times its kernel's."""


def by_module(tensors: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """Tensors, or their shapes, of a LoRA file by module and role; both spellings, kohya's and peft's."""
    found: dict[str, dict[str, T]] = {}
    for key, value in tensors.items():
        found.setdefault(module_of(key), {})[role_of(key)] = value
    return found


def measure(shapes: Mapping[str, Shape]) -> Measured:
    """Kind and sizes of one module. Raises ValueError when its tensors do not fit together, KeyError when one lacks."""
    if "lora_down" in shapes or "lora_up" in shapes:
        found = _lora(shapes)
    elif any(role.startswith("hada_") for role in shapes):
        found = _loha(shapes)
    elif any(role.startswith("lokr_") for role in shapes):
        found = _lokr(shapes)
    else:
        raise KeyError("lora_down")
    # one number for every output (peft; LyCORIS with wd_on_out) or for every input (LyCORIS without)
    if "dora_scale" in shapes and (size := prod(shapes["dora_scale"])) != found.outside and found.inside % max(size, 1):
        raise ValueError("dora_scale")
    return found


def _lora(shapes: Mapping[str, Shape]) -> Measured:
    down, up, mid = shapes["lora_down"], shapes["lora_up"], shapes.get("lora_mid")
    rank = _at_least_two(down)[0]
    _same(rank, _at_least_two(up)[1])
    if mid is not None:
        _same(mid[:2], (rank, rank))
    inside = prod(down[1:]) * (prod(mid[2:]) if mid is not None else 1)
    return Measured("dora" if "dora_scale" in shapes else "lora", rank, up[0], inside)


def _loha(shapes: Mapping[str, Shape]) -> Measured:
    sizes = []
    for n in (1, 2):
        out, into, core = shapes[f"hada_w{n}_a"], shapes[f"hada_w{n}_b"], shapes.get(f"hada_t{n}")
        rank = _at_least_two(into)[0]
        if core is None:
            _same(rank, _at_least_two(out)[1])
            sizes.append((rank, out[0], prod(into[1:])))
        else:
            _same((rank, rank, out[0]), (*core[:2], rank))
            sizes.append((rank, _at_least_two(out)[1], prod(into[1:]) * prod(core[2:])))
    _same(sizes[0][1:], sizes[1][1:])
    return Measured("loha", *sizes[0])


def _lokr(shapes: Mapping[str, Shape]) -> Measured:
    rank = None
    whole = []
    for n in (1, 2):
        if f"lokr_w{n}" in shapes:
            whole.append(_at_least_two(shapes[f"lokr_w{n}"]))
            continue
        out, into, core = shapes[f"lokr_w{n}_a"], shapes[f"lokr_w{n}_b"], shapes.get(f"lokr_t{n}")
        rank = _at_least_two(into)[0]
        if core is None:
            _same(rank, _at_least_two(out)[1])
            whole.append((out[0], *into[1:]))
        else:
            _same((rank, rank, out[0]), (*core[:2], rank))
            whole.append((_at_least_two(out)[1], into[1], *core[2:]))
    first, second = whole
    return Measured("lokr", rank, first[0] * second[0], prod(first[1:]) * prod(second[1:]))


def _at_least_two(shape: Shape) -> Shape:
    if len(shape) < 2:
        raise ValueError("a matrix has two sides")
    return shape


def _same(one: object, other: object) -> None:
    if one != other:
        raise ValueError(f"{one} is not {other}")
