"""The adapter types (lora, dora, loha, lokr, full), told apart by a module's tensors, and the shapes these must have.

The tensors' names are those of kohya-ss/sd-scripts `networks/lora.py` for lora, and of KohakuBlueleaf/LyCORIS
`lycoris/modules` for the other types. No torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal, TypeVar

from ksh_studio.lora.file.spellings import module_name, tensor_name

AdapterType = Literal["lora", "dora", "loha", "lokr", "full"]
"""LyCORIS calls it "full" when the change of a weight is stored as it is, without factors."""
Shape = tuple[int, ...]
T = TypeVar("T")
CORE_TENSORS = frozenset(("lora_down", "hada_w1_b", "lokr_w1", "lokr_w1_b", "diff"))
"""Every module of a LoRA file has one of these tensors."""


@dataclass(frozen=True)
class ModuleSizes:
    """What the shapes of one module's tensors say about the change that they make to its weight."""

    adapter_type: AdapterType
    rank: int | None
    """None for a full change and for a lokr of two whole matrices, which have no rank."""
    rows: int
    """Rows of the change: the module's output size."""
    columns: int
    """Columns of the change: the module's input size, times the size of its kernel."""


def group_by_module(tensors: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """Group the tensors of a LoRA file, or their shapes: by the module's kohya name, then by the tensor's name.

    Keys that no LoRA file has are left out.
    """
    groups: dict[str, dict[str, T]] = {}
    for key, value in tensors.items():
        if name := tensor_name(key):
            groups.setdefault(module_name(key), {})[name] = value
    return groups


def factor_groups(tensors: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """As `group_by_module`, without the groups that are only an alpha or a magnitude of another method's tensors."""
    return {
        module: group for module, group in group_by_module(tensors).items() if group.keys() - {"alpha", "dora_scale"}
    }


def module_sizes(shapes: Mapping[str, Shape]) -> ModuleSizes:
    """Adapter type and sizes of one module, from the shapes of its tensors by their names.

    Raises ValueError when the tensors do not fit together, KeyError when one is missing.
    """
    if "lora_down" in shapes or "lora_up" in shapes:
        sizes = _lora_sizes(shapes)
    elif any(name.startswith("hada_") for name in shapes):
        sizes = _loha_sizes(shapes)
    elif any(name.startswith("lokr_") for name in shapes):
        sizes = _lokr_sizes(shapes)
    elif "diff" in shapes:
        diff = _at_least_two(shapes["diff"])
        sizes = ModuleSizes("full", None, diff[0], prod(diff[1:]))
    else:
        raise KeyError("lora_down")
    # one number for every output (peft; LyCORIS with wd_on_out) or for every input (LyCORIS without)
    if "dora_scale" in shapes and (size := prod(shapes["dora_scale"])) != sizes.rows and sizes.columns % max(size, 1):
        raise ValueError("dora_scale")
    return sizes


def _lora_sizes(shapes: Mapping[str, Shape]) -> ModuleSizes:
    down, up, mid = shapes["lora_down"], shapes["lora_up"], shapes.get("lora_mid")
    rank = _at_least_two(down)[0]
    _require_equal(rank, _at_least_two(up)[1])
    if mid is not None:
        _require_equal(mid[:2], (rank, rank))
    columns = prod(down[1:]) * (prod(mid[2:]) if mid is not None else 1)
    return ModuleSizes("dora" if "dora_scale" in shapes else "lora", rank, up[0], columns)


def _loha_sizes(shapes: Mapping[str, Shape]) -> ModuleSizes:
    sizes = []
    for n in (1, 2):
        first, second, core = shapes[f"hada_w{n}_a"], shapes[f"hada_w{n}_b"], shapes.get(f"hada_t{n}")
        rank = _at_least_two(second)[0]
        if core is None:
            _require_equal(rank, _at_least_two(first)[1])
            sizes.append((rank, first[0], prod(second[1:])))
        else:
            _require_equal((rank, rank, first[0]), (*core[:2], rank))
            sizes.append((rank, _at_least_two(first)[1], prod(second[1:]) * prod(core[2:])))
    _require_equal(sizes[0][1:], sizes[1][1:])
    return ModuleSizes("loha", *sizes[0])


def _lokr_sizes(shapes: Mapping[str, Shape]) -> ModuleSizes:
    rank = None
    factors = []
    for n in (1, 2):
        if f"lokr_w{n}" in shapes:
            factors.append(_at_least_two(shapes[f"lokr_w{n}"]))
            continue
        first, second, core = shapes[f"lokr_w{n}_a"], shapes[f"lokr_w{n}_b"], shapes.get(f"lokr_t{n}")
        rank = _at_least_two(second)[0]
        if core is None:
            _require_equal(rank, _at_least_two(first)[1])
            factors.append((first[0], *second[1:]))
        else:
            _require_equal((rank, rank, first[0]), (*core[:2], rank))
            factors.append((_at_least_two(first)[1], second[1], *core[2:]))
    left, right = factors
    return ModuleSizes("lokr", rank, left[0] * right[0], prod(left[1:]) * prod(right[1:]))


def _at_least_two(shape: Shape) -> Shape:
    """The shape itself. Raises ValueError when it has fewer than two sides, so that it is no matrix."""
    if len(shape) < 2:
        raise ValueError("a matrix has two sides")
    return shape


def _require_equal(one: object, other: object) -> None:
    if one != other:
        raise ValueError(f"{one} is not {other}")
