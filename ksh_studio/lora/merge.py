"""Several LoRA files become one that adds up their changes, each by its weight.

Averaging the factors would be wrong: (a1 + a2)(b1 + b2) is not a1 b1 + a2 b2. The sum of changes
w1 s1 B1 A1 + w2 s2 B2 A2 is [w1 s1 B1 | w2 s2 B2] times [A1; A2], exact at the sum of the ranks (kohya-ss/sd-scripts
`networks/merge_lora.py` with `--concat`). For a smaller rank the singular value decomposition of the product keeps most
of it (Eckart and Young, 1936; sd-scripts `networks/svd_merge_lora.py`); it is taken of the small matrix between the
QR decompositions of the two sides, so that no full-size matrix is decomposed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from ksh_studio.disk import replacing
from ksh_studio.errors import StudioError
from ksh_studio.lora.file.header import RANK_LIMIT, LoraInfo, read_header
from ksh_studio.lora.file.kinds import Measured, by_module
from ksh_studio.lora.file.metadata import safe_stem, with_hashes
from ksh_studio.lora.file.sidecar import write_beside
from ksh_studio.lora.file.tensors import require_free, save_tensors
from ksh_studio.lora.on_base.delta import Roles, matrix

Factors = tuple[Tensor, Tensor]
"""Up [out, r] and down [r, in · kernel] of one change, fp32, all scales in them."""


@dataclass(frozen=True)
class Merged:
    """The written file and how close it is."""

    info: LoraInfo
    error: float
    """Length of what was lost, relative to the whole change: 0 exact, 1 all of it."""


def merge(
    files: Sequence[tuple[Path, float]], target: Path, rank: int | None = None, preview: Path | None = None
) -> Merged:
    """Write the weighted sum of LoRA files (path, weight) to `target`, with the card and picture beside it.

    rank: of the result; None: as large as needed to lose nothing. Only the kind lora can be added up so: the others'
    changes have no small factors, or depend on the base's weights. The result is read back and compared before it
    takes the name. Raises StudioError when the files do not go together, or something of that name is there already.
    """
    infos = [read_header(path) for path, _ in files]
    _check(infos, files, target, rank)
    require_free(target, target.with_suffix(".json"), *([target.with_suffix(".png")] if preview is not None else []))
    sums = _sums([(by_module(safetensors.torch.load_file(path)), weight) for path, weight in files], infos)
    kept = {module: _cut(factors, rank) for module, factors in sums.items()}
    tensors: dict[str, Tensor] = {}
    for module, factors in kept.items():
        tensors |= _tensors(module, factors, _kernel(module, infos))
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise StudioError("lora.not_finite", name=target.name)
    metadata = with_hashes(tensors, _metadata(infos, files, target, max(up.shape[1] for up, _ in kept.values())))
    with replacing(target) as beside:
        save_tensors(beside, tensors, metadata)
        error = _compare(by_module(safetensors.torch.load_file(beside)), sums, kept, target.name)
    info = read_header(target)
    write_beside(info, preview)
    return Merged(info, error)


def _check(infos: list[LoraInfo], files: Sequence[tuple[Path, float]], target: Path, rank: int | None) -> None:
    if len(files) < 2:
        raise StudioError("merge.too_few")
    if target.stem != safe_stem(target.stem):
        raise StudioError("lora.name", name=target.stem)
    if rank is not None and not 1 <= rank <= RANK_LIMIT:
        raise StudioError("merge.rank", rank=rank, limit=RANK_LIMIT)
    first = infos[0]
    for info in infos:
        other = next((sizes.kind for sizes in info.measured.values() if sizes.kind != "lora"), None)
        if other is not None or any(key.endswith(".lora_mid.weight") for key in info.shapes):
            raise StudioError("merge.kind", name=info.path.name, kind=other or "lora (Tucker)")
        if info.base != first.base or not _fit_together(first.measured, info.measured):
            bases = {"base": first.base or "?", "other_base": info.base or "?"}
            raise StudioError("merge.bases", name=first.path.name, other=info.path.name, **bases)


def _fit_together(one: dict[str, Measured], other: dict[str, Measured]) -> bool:
    """Whether the modules that both change have the same sizes."""
    both = one.keys() & other.keys()
    return bool(both) and all((one[m].outside, one[m].inside) == (other[m].outside, other[m].inside) for m in both)


def _sums(parts: list[tuple[dict[str, dict[str, Tensor]], float]], infos: list[LoraInfo]) -> dict[str, Factors]:
    """Of every module that any file changes, the factors of the weighted sum."""
    found: dict[str, Factors] = {}
    for module in dict.fromkeys(module for info in infos for module in info.measured):
        own = [_factors(modules[module], weight) for modules, weight in parts if module in modules]
        found[module] = torch.cat([up for up, _ in own], dim=1), torch.cat([down for _, down in own])
    return found


def _factors(roles: Roles, weight: float) -> Factors:
    down, up = roles["lora_down"].float().flatten(1), roles["lora_up"].float().flatten(1)
    scale = float(roles["alpha"]) / down.shape[0] if "alpha" in roles else 1.0
    return up * (scale * weight), down


def _cut(factors: Factors, rank: int | None) -> Factors:
    """The best factors of at most `rank`, both sides of the same length; all that is needed where it is None."""
    up, down = factors
    most = min(up.shape[0], down.shape[1], RANK_LIMIT)
    if rank is None and up.shape[1] <= most:
        return factors
    first, inner = torch.linalg.qr(up)
    second, outer = torch.linalg.qr(down.T)
    left, sizes, right = torch.linalg.svd(inner @ outer.T)
    count = min(rank or most, most, len(sizes))
    root = sizes[:count].sqrt()
    return first @ (left[:, :count] * root), (root[:, None] * right[:count]) @ second.T


def _tensors(module: str, factors: Factors, kernel: tuple[int, ...] | None) -> dict[str, Tensor]:
    """Of one module, in fp16. Alpha is the rank: the scales are in the matrices."""
    up, down = factors
    rank = up.shape[1]
    if kernel is not None:
        down, up = down.reshape(rank, -1, *kernel), up.reshape(*up.shape, 1, 1)
    return {
        f"{module}.lora_down.weight": down.half().contiguous(),
        f"{module}.lora_up.weight": up.half().contiguous(),
        f"{module}.alpha": torch.tensor(float(rank), dtype=torch.float16),
    }


def _kernel(module: str, infos: list[LoraInfo]) -> tuple[int, ...] | None:
    """The kernel of a convolution; None for a linear module."""
    shapes = (by_module(info.shapes).get(module, {}).get("lora_down", ()) for info in infos)
    return next((shape[2:] for shape in shapes if len(shape) == 4), None)


def _metadata(infos: list[LoraInfo], files: Sequence[tuple[Path, float]], target: Path, rank: int) -> dict[str, str]:
    """That of the first file, with what is another one's now."""
    own = {key: value for key, value in infos[0].metadata.items() if not key.startswith("sshs_")}
    own.pop("modelspec.thumbnail", None)
    from_names = ", ".join(f"{path.stem} x {weight:g}" for path, weight in files)
    return own | {
        "ss_output_name": target.stem,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(float(rank)),
        "ss_training_comment": f"KSH Studio: merged from {from_names}",
        "modelspec.title": target.stem,
        "modelspec.merged_from": ", ".join(path.stem for path, _ in files),
    }


def _compare(read: dict[str, Roles], sums: dict[str, Factors], kept: dict[str, Factors], name: str) -> float:
    """What the file lost of the sum; raises StudioError when it is not what was to be written."""
    lost = whole = 0.0
    for module, (up, down) in sums.items():
        wanted, full, found = kept[module][0] @ kept[module][1], up @ down, matrix(read.get(module, {}))
        rounding = 4 * torch.finfo(torch.float16).eps * (kept[module][0].abs() @ kept[module][1].abs()).max()
        if read.keys() != sums.keys() or (found - wanted).abs().max() > rounding + 1e-6:
            raise StudioError("lora.check_failed", name=name)
        lost += float((found - full).square().sum())
        whole += float(full.square().sum())
    return (lost / whole) ** 0.5 if whole else 0.0
