"""Saves a LoRA as one file in kohya's format, and reads it back to prove it before it takes its name.

diffusers has `convert_state_dict_to_kohya`, but it writes alpha = rank, and names in the text encoder that no other
program reads (measured: they apply the LoRA with 0 or twice the strength), so this has its own few lines for it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ksh_studio.disk import replacing
from ksh_studio.errors import StudioError
from ksh_studio.lora.file.header import LoraHeader, read_header
from ksh_studio.lora.file.metadata import safe_stem, with_hashes
from ksh_studio.lora.file.names import kohya_name
from ksh_studio.lora.file.sidecar import thumbnail_url, write_sidecar
from ksh_studio.lora.file.spellings import tensor_name
from ksh_studio.lora.file.tensors import save_tensors
from ksh_studio.lora.file.weights import LoraWeights, module_path
from ksh_studio.lora.proof import file_matches

if TYPE_CHECKING:
    from ksh_studio.models.loading import Base


def kohya_tensors(weights: LoraWeights, dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    """The tensors of the file, on the CPU: for each module its factors by kohya's or LyCORIS's names, and alpha [].

    lora: lora_down [r, in, ...] and lora_up [out, r, ...]; dora adds its magnitudes, dora_scale [out, 1, ...].
    """
    tensors = {}
    for component, state in weights.components():
        for key, tensor in state.items():
            module, name = kohya_name(component, module_path(key)), tensor_name(key)
            value = tensor.detach().to("cpu", torch.float32)
            alpha = float(weights.lora_alpha)
            if name == "dora_scale":
                value = value.reshape(-1, *[1] * (state[f"{module_path(key)}.lora_A.weight"].dim() - 1))
            if weights.adapter_type == "lokr":
                # programs disagree on how to scale it, so a factor takes up the scale, and alpha / rank is 1
                alpha, scale = float(weights.rank or 1), weights.lora_alpha / (weights.rank or 1)
                value = value * scale if name in ("lokr_w1", "lokr_w1_a") else value
            ending = ".weight" if name in ("lora_down", "lora_up") else ""
            tensors[f"{module}.{name}{ending}"] = value.to(dtype, copy=True).contiguous()
            # in fp32: an alpha of 12.8 in half precision would be another strength than was trained
            tensors[f"{module}.alpha"] = torch.tensor(alpha, dtype=torch.float32)
    return tensors


def save_lora(
    path: Path,
    base: "Base",
    weights: LoraWeights,
    metadata: dict[str, str],
    preview: Path | None = None,
    dtype: torch.dtype = torch.float16,
) -> LoraHeader:
    """Write the LoRA file and the files that belong beside it; return its header, read back from the disk.

    The file is written under a temporary name, read back and compared, and only then renamed: when anything fails, an
    earlier file of this name stays. metadata: without hashes and name, which are added here. preview: a picture that is
    put into the metadata and copied to `<stem>.png`.
    Raises StudioError when the LoRA has values that are not finite, the name has characters that other programs do not
    accept, the file does not read back the same, or the disk is full.
    """
    if path.stem != safe_stem(path.stem):
        raise StudioError("lora.name", name=path.stem)
    tensors = kohya_tensors(weights, dtype)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise StudioError("lora.not_finite", name=path.name)
    picture = {"modelspec.thumbnail": thumbnail_url(preview)} if preview is not None else {}
    metadata = with_hashes(tensors, metadata | picture | {"ss_output_name": path.stem})
    with replacing(path) as temporary:
        save_tensors(temporary, tensors, metadata)
        if not file_matches(temporary, base, weights, dtype):
            raise StudioError("lora.check_failed", name=path.name)
    header = read_header(path)
    write_sidecar(header, preview)
    return header
