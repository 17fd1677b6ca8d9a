"""Converts a LoRA file to diffusers' own format, for programs that read no other."""

import json
from pathlib import Path

import safetensors.torch
import torch

from ksh_studio.disk import replacing
from ksh_studio.errors import StudioError
from ksh_studio.lora.file.adapter_settings import METADATA_KEY
from ksh_studio.lora.file.header import read_header
from ksh_studio.lora.file.reading import kohya_factors, read_modules
from ksh_studio.lora.file.spellings import module_name
from ksh_studio.lora.file.tensors import require_free, save_tensors

_DOWN = ".lora_A.weight"


def to_diffusers(source: Path, target: Path) -> Path:
    """Write the LoRA of `source`, in kohya's format, to `target` as `save_lora_weights` of diffusers would.

    diffusers itself translates the names. The rank and alpha of every module, which its format does not keep among the
    tensors, go into the metadata. The file is read back and compared before it takes its name.
    Raises StudioError for an adapter type that diffusers does not load, a file that has diffusers' format already, or a
    target that exists.
    """
    from diffusers.loaders import StableDiffusionLoraLoaderMixin as Loader

    header = read_header(source)
    if not header.is_plain:
        kind = header.type_other_than_lora or "lora (Tucker)"
        raise StudioError("merge.convert_kind", name=source.name, kind=kind)
    if METADATA_KEY in header.metadata or any(key.startswith(("unet.", "text_encoder.")) for key in header.shapes):
        raise StudioError("merge.already", name=source.name)
    require_free(target)
    modules = read_modules(header)
    state, _ = Loader.lora_state_dict(kohya_factors(modules))
    tensors = {key: tensor.contiguous() for key, tensor in _peft_names(state).items()}
    ranks = {key.removesuffix(_DOWN): tensor.shape[0] for key, tensor in tensors.items() if key.endswith(_DOWN)}
    alphas = {name: float(modules[module_name(name + _DOWN)].get("alpha", ranks[name])) for name in ranks}
    metadata = {METADATA_KEY: json.dumps(_adapter_settings(ranks, alphas)), "format": "pt"}
    with replacing(target) as temporary:
        save_tensors(temporary, tensors, metadata)
        read_back = safetensors.torch.load_file(temporary)
        same = read_back.keys() == tensors.keys() and all(torch.equal(read_back[key], tensors[key]) for key in tensors)
        if not same or len(ranks) != header.module_count:
            raise StudioError("lora.check_failed", name=target.name)
    return target


def _peft_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors by peft's keys, which diffusers saves; what it reads from a kohya file has its older keys."""
    from diffusers.utils.state_dict_utils import (
        convert_state_dict_to_diffusers,
        convert_state_dict_to_peft,
        convert_unet_state_dict_to_peft,
    )

    states = {
        name: {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        for name in ("unet", "text_encoder")
    }
    unet = convert_unet_state_dict_to_peft(states["unet"])
    text_encoder = states["text_encoder"]
    if text_encoder:
        text_encoder = convert_state_dict_to_peft(convert_state_dict_to_diffusers(text_encoder))
    return {f"unet.{key}": value for key, value in unet.items()} | {
        f"text_encoder.{key}": value for key, value in text_encoder.items()
    }


def _adapter_settings(ranks: dict[str, int], alphas: dict[str, float]) -> dict[str, object]:
    """Peft's settings of both models; the model's name is in front of each key, as diffusers writes it."""
    settings: dict[str, object] = {}
    for component in ("unet", "text_encoder"):
        # without `text_model.`, which depends on the version of transformers: peft compares the ends of paths
        modules = {
            name.removeprefix(f"{component}.").removeprefix("text_model."): (rank, alphas[name])
            for name, rank in ranks.items()
            if name.startswith(f"{component}.")
        }
        if not modules:
            continue
        rank, alpha = max(rank for rank, _ in modules.values()), max(alpha for _, alpha in modules.values())
        of_component = {
            "r": rank,
            "lora_alpha": alpha,
            "target_modules": sorted(modules),
            "rank_pattern": {name: value for name, (value, _) in modules.items() if value != rank},
            "alpha_pattern": {name: value for name, (_, value) in modules.items() if value != alpha},
        }
        settings |= {f"{component}.{key}": value for key, value in of_component.items()}
    return settings
