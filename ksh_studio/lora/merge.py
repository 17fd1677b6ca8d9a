"""Merges several LoRA files into one whose change is the weighted sum of theirs.

Averaging the factors would be wrong: (a1 + a2)(b1 + b2) is not a1 b1 + a2 b2. The sum of changes
w1 s1 B1 A1 + w2 s2 B2 A2 is [w1 s1 B1 | w2 s2 B2] times [A1; A2], exact at the sum of the ranks (kohya-ss/sd-scripts
`networks/merge_lora.py` with `--concat`). For a smaller rank the singular value decomposition of the product keeps most
of it (Eckart and Young, 1936; sd-scripts `networks/svd_merge_lora.py`); it is taken of the small matrix between the
QR decompositions of the two sides, so that no full-size matrix is decomposed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from ksh_studio.disk import replacing
from ksh_studio.errors import StudioError
from ksh_studio.lora.file.adapter_types import ModuleSizes, group_by_module
from ksh_studio.lora.file.header import RANK_LIMIT, LoraHeader, read_header
from ksh_studio.lora.file.metadata import safe_stem, with_hashes
from ksh_studio.lora.file.reading import read_modules
from ksh_studio.lora.file.sidecar import write_sidecar
from ksh_studio.lora.file.tensors import require_free, save_tensors
from ksh_studio.lora.on_base.delta import ModuleTensors, delta_matrix

Factors = tuple[Tensor, Tensor]
"""Up [out, r] and down [r, in · kernel] of one module's change, in fp32; alpha and weight are multiplied in."""


@dataclass(frozen=True)
class Merged:
    """The header of the written file, and how close the file is to the exact sum."""

    header: LoraHeader
    error: float
    """The norm of what was lost, relative to that of the whole change: 0 is exact, 1 means that all is lost."""


def merge(
    files: Sequence[tuple[Path, float]], target: Path, rank: int | None = None, preview: Path | None = None
) -> Merged:
    """Write the weighted sum of LoRA files, given as (path, weight), to `target`, and the files beside it.

    rank: that of the result; with None it is as large as needed to lose nothing. preview: a picture to copy to
    `<stem>.png`. Only the type lora can be added up like this: the changes of the others have no small factors, or
    depend on the base's weights. The result is read back and compared before it takes its name.
    Raises StudioError when the files do not go together, or when `target` or a file beside it exists.
    """
    headers = [read_header(path) for path, _ in files]
    _check_files(headers, files, target, rank)
    require_free(target, target.with_suffix(".json"), *([target.with_suffix(".png")] if preview is not None else []))
    sums = _sums([(read_modules(header), weight) for header, (_, weight) in zip(headers, files, strict=True)], headers)
    reduced = {module: _reduce_rank(factors, rank) for module, factors in sums.items()}
    tensors: dict[str, Tensor] = {}
    for module, factors in reduced.items():
        tensors |= _file_tensors(module, factors, _kernel_size(module, headers))
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise StudioError("lora.not_finite", name=target.name)
    largest_rank = max(up.shape[1] for up, _ in reduced.values())
    metadata = with_hashes(tensors, _metadata(headers, files, target, largest_rank))
    with replacing(target) as temporary:
        save_tensors(temporary, tensors, metadata)
        error = _compare(group_by_module(safetensors.torch.load_file(temporary)), sums, reduced, target.name)
    header = read_header(target)
    write_sidecar(header, preview)
    return Merged(header, error)


def _check_files(
    headers: list[LoraHeader], files: Sequence[tuple[Path, float]], target: Path, rank: int | None
) -> None:
    """Raise StudioError when these files, this name or this rank cannot be merged."""
    if len(files) < 2:
        raise StudioError("merge.too_few")
    if target.stem != safe_stem(target.stem):
        raise StudioError("lora.name", name=target.stem)
    if rank is not None and not 1 <= rank <= RANK_LIMIT:
        raise StudioError("merge.rank", rank=rank, limit=RANK_LIMIT)
    first = headers[0]
    for header in headers:
        if not header.is_plain:
            kind = header.type_other_than_lora or "lora (Tucker)"
            raise StudioError("merge.kind", name=header.path.name, kind=kind)
        if header.base != first.base or not _fit_together(first.sizes, header.sizes):
            bases = {"base": first.base or "?", "other_base": header.base or "?"}
            raise StudioError("merge.bases", name=first.path.name, other=header.path.name, **bases)


def _fit_together(one: dict[str, ModuleSizes], other: dict[str, ModuleSizes]) -> bool:
    """Whether there are modules that both files change, and each of these has the same size in both."""
    both = one.keys() & other.keys()
    return bool(both) and all((one[m].rows, one[m].columns) == (other[m].rows, other[m].columns) for m in both)


def _sums(files: list[tuple[dict[str, dict[str, Tensor]], float]], headers: list[LoraHeader]) -> dict[str, Factors]:
    """The factors of the weighted sum, for every module that any of the files changes."""
    sums: dict[str, Factors] = {}
    for module in dict.fromkeys(module for header in headers for module in header.sizes):
        factors = [_factors(modules[module], weight) for modules, weight in files if module in modules]
        sums[module] = torch.cat([up for up, _ in factors], dim=1), torch.cat([down for _, down in factors])
    return sums


def _factors(tensors: ModuleTensors, weight: float) -> Factors:
    down, up = tensors["lora_down"].float().flatten(1), tensors["lora_up"].float().flatten(1)
    scale = float(tensors["alpha"]) / down.shape[0] if "alpha" in tensors else 1.0
    return up * (scale * weight), down


def _reduce_rank(factors: Factors, rank: int | None) -> Factors:
    """The closest factors of at most `rank`, both scaled alike; with None, of as large a rank as is needed."""
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


def _file_tensors(module: str, factors: Factors, kernel: tuple[int, ...] | None) -> dict[str, Tensor]:
    """The tensors of one module as they are saved, in fp16. Alpha is the rank, since the matrices hold all scales."""
    up, down = factors
    rank = up.shape[1]
    if kernel is not None:
        down, up = down.reshape(rank, -1, *kernel), up.reshape(*up.shape, 1, 1)
    return {
        f"{module}.lora_down.weight": down.half().contiguous(),
        f"{module}.lora_up.weight": up.half().contiguous(),
        f"{module}.alpha": torch.tensor(float(rank), dtype=torch.float16),
    }


def _kernel_size(module: str, headers: list[LoraHeader]) -> tuple[int, ...] | None:
    """The kernel size of a convolution; None for a linear module."""
    shapes = (header.modules.get(module, {}).get("lora_down", ()) for header in headers)
    return next((shape[2:] for shape in shapes if len(shape) == 4), None)


def _metadata(
    headers: list[LoraHeader], files: Sequence[tuple[Path, float]], target: Path, rank: int
) -> dict[str, str]:
    """The metadata of the first file, with the values that differ for the merged file."""
    metadata = {key: value for key, value in headers[0].metadata.items() if not key.startswith("sshs_")}
    metadata.pop("modelspec.thumbnail", None)
    sources = ", ".join(f"{path.stem} x {weight:g}" for path, weight in files)
    return metadata | {
        "ss_output_name": target.stem,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(rank),
        "ss_network_alpha": str(float(rank)),
        "ss_training_comment": f"KSH Studio: merged from {sources}",
        "modelspec.title": target.stem,
        "modelspec.merged_from": ", ".join(path.stem for path, _ in files),
    }


def _compare(
    modules: Mapping[str, ModuleTensors], sums: dict[str, Factors], reduced: dict[str, Factors], name: str
) -> float:
    """The relative error of a file that was read back, against the exact sums.

    Raises StudioError when the file does not hold the reduced factors, up to the rounding of fp16.
    """
    lost = whole = 0.0
    for module, (up, down) in sums.items():
        expected, full = reduced[module][0] @ reduced[module][1], up @ down
        delta = delta_matrix(modules.get(module, {}))
        rounding = 4 * torch.finfo(torch.float16).eps * (reduced[module][0].abs() @ reduced[module][1].abs()).max()
        if modules.keys() != sums.keys() or (delta - expected).abs().max() > rounding + 1e-6:
            raise StudioError("lora.check_failed", name=name)
        lost += float((delta - full).square().sum())
        whole += float(full.square().sum())
    return (lost / whole) ** 0.5 if whole else 0.0
