"""A LoRA file in the format of diffusers itself, for programs that read no other."""

import json
from pathlib import Path

import safetensors.torch
import torch

from ksh_studio.disk import replacing
from ksh_studio.errors import StudioError
from ksh_studio.lora.file.header import read_header
from ksh_studio.lora.file.kinds import by_module
from ksh_studio.lora.file.names import module_of
from ksh_studio.lora.file.tensors import require_free, save_tensors

METADATA_KEY = "lora_adapter_metadata"
_DOWN = ".lora_A.weight"


def to_diffusers(source: Path, target: Path) -> Path:
    """Write the LoRA of `source`, kohya's format, to `target` as `save_lora_weights` of diffusers would.

    The names are diffusers' own reading of the file; rank and alpha of every module, which that format keeps apart from
    the tensors, go into its metadata. Read back and compared before it takes the name.
    Raises StudioError for a kind that diffusers does not load, a file in that format already, or a target that is
    there already.
    """
    from diffusers.loaders import StableDiffusionLoraLoaderMixin as Loader

    info = read_header(source)
    other = next((sizes.kind for sizes in info.measured.values() if sizes.kind != "lora"), None)
    if other is not None:
        raise StudioError("merge.convert_kind", name=source.name, kind=other)
    if METADATA_KEY in info.metadata or any(key.startswith(("unet.", "text_encoder.")) for key in info.shapes):
        raise StudioError("merge.already", name=source.name)
    require_free(target)
    read = safetensors.torch.load_file(source)
    state, _ = Loader.lora_state_dict(dict(read))
    tensors = {key: tensor.contiguous() for key, tensor in _peft_names(state).items()}
    ranks = {key.removesuffix(_DOWN): tensor.shape[0] for key, tensor in tensors.items() if key.endswith(_DOWN)}
    modules = by_module(read)
    scales = {name: float(modules[module_of(name + _DOWN)].get("alpha", ranks[name])) for name in ranks}
    metadata = {METADATA_KEY: json.dumps(_adapters(ranks, scales)), "format": "pt"}
    with replacing(target) as beside:
        save_tensors(beside, tensors, metadata)
        again = safetensors.torch.load_file(beside)
        same = again.keys() == tensors.keys() and all(torch.equal(again[key], tensors[key]) for key in tensors)
        if not same or len(ranks) != info.modules:
            raise StudioError("lora.check_failed", name=target.name)
    return target


def _peft_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Diffusers' reading of a kohya file has its older names; what it saves has peft's."""
    from diffusers.utils.state_dict_utils import (
        convert_state_dict_to_diffusers,
        convert_state_dict_to_peft,
        convert_unet_state_dict_to_peft,
    )

    parts = {
        part: {key.removeprefix(f"{part}."): value for key, value in state.items() if key.startswith(f"{part}.")}
        for part in ("unet", "text_encoder")
    }
    unet = convert_unet_state_dict_to_peft(parts["unet"])
    words = parts["text_encoder"]
    words = convert_state_dict_to_peft(convert_state_dict_to_diffusers(words)) if words else {}
    return {f"unet.{key}": value for key, value in unet.items()} | {
        f"text_encoder.{key}": value for key, value in words.items()
    }


def _adapters(ranks: dict[str, int], alphas: dict[str, float]) -> dict[str, object]:
    """Peft's settings of both parts, each key with the part in front, as diffusers collates them."""
    found: dict[str, object] = {}
    for part in ("unet", "text_encoder"):
        # without `text_model.`, which a text encoder has or not by the version: peft takes the end of a path
        own = {
            name.removeprefix(f"{part}.").removeprefix("text_model."): (rank, alphas[name])
            for name, rank in ranks.items()
            if name.startswith(f"{part}.")
        }
        if not own:
            continue
        rank, alpha = max(rank for rank, _ in own.values()), max(alpha for _, alpha in own.values())
        settings = {
            "r": rank,
            "lora_alpha": alpha,
            "target_modules": sorted(own),
            "rank_pattern": {name: value for name, (value, _) in own.items() if value != rank},
            "alpha_pattern": {name: value for name, (_, value) in own.items() if value != alpha},
        }
        found |= {f"{part}.{key}": value for key, value in settings.items()}
    return found
