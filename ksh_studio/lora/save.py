"""Writes a LoRA as one file in kohya's format and proves it by reloading before it is called saved.

diffusers' own `convert_state_dict_to_kohya` writes alpha = rank and text-encoder names nobody else reads
(measured: other programs then apply 0 or twice the strength), so the few lines are ours.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ksh_studio.disk import replacing
from ksh_studio.errors import StudioError
from ksh_studio.lora.file.header import LoraInfo, read_header
from ksh_studio.lora.file.metadata import safe_stem, with_hashes
from ksh_studio.lora.file.names import kohya_name, role_of
from ksh_studio.lora.file.sidecar import thumbnail, write_beside
from ksh_studio.lora.file.tensors import save_tensors
from ksh_studio.lora.file.weights import LoraWeights, path_of
from ksh_studio.lora.proof import comes_back

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base


def kohya_tensors(weights: LoraWeights, dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    """The tensors of the file, on the CPU: for each module its factors by kohya's or LyCORIS's names, and alpha [].

    lora: down [r, in, ...], up [out, r, ...]; dora has its lengths beside them, dora_scale [out, 1, ...].
    """
    tensors = {}
    for part, state in weights.parts():
        for key, tensor in state.items():
            name, role = kohya_name(part, path_of(key)), role_of(key)
            value = tensor.detach().to("cpu", torch.float32)
            alpha = float(weights.lora_alpha)
            if role == "dora_scale":
                value = value.reshape(-1, *[1] * (state[f"{path_of(key)}.lora_A.weight"].dim() - 1))
            if weights.kind == "lokr":  # readers do not agree on its scale: the factor takes it up, alpha / rank is 1
                alpha, scale = float(weights.rank or 1), weights.lora_alpha / (weights.rank or 1)
                value = value * scale if role in ("lokr_w1", "lokr_w1_a") else value
            ending = ".weight" if role in ("lora_down", "lora_up") else ""
            tensors[f"{name}.{role}{ending}"] = value.to(dtype, copy=True).contiguous()
            # whole: a half-precision alpha of 12.8 would be another strength than was trained
            tensors[f"{name}.alpha"] = torch.tensor(alpha, dtype=torch.float32)
    return tensors


def save_lora(
    path: Path,
    base: "Base",
    weights: LoraWeights,
    metadata: dict[str, str],
    preview: Path | None = None,
    dtype: torch.dtype = torch.float16,
) -> LoraInfo:
    """Write the file and what belongs beside it; return its header, read back from the disk.

    The file is written beside, reloaded through diffusers and compared, and only then renamed: when anything fails, an
    earlier file of this name stays. preview: a picture copied to `<stem>.png`.
    Raises StudioError when the LoRA holds values that are not finite, does not come back the same, or the disk is full.
    """
    if path.stem != safe_stem(path.stem):
        raise StudioError("lora.name", name=path.stem)
    tensors = kohya_tensors(weights, dtype)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise StudioError("lora.not_finite", name=path.name)
    picture = {"modelspec.thumbnail": thumbnail(preview)} if preview is not None else {}
    metadata = with_hashes(tensors, metadata | picture | {"ss_output_name": path.stem})
    with replacing(path) as beside:
        save_tensors(beside, tensors, metadata)
        if not comes_back(beside, base, weights, dtype):
            raise StudioError("lora.check_failed", name=path.name)
    info = read_header(path)
    write_beside(info, preview)
    return info
