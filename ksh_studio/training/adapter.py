"""The LoRA while it is trained: put onto the base, its parameters by name, and back out as what is saved."""

import math

import torch
from peft import LoraConfig
from torch import Tensor, nn

from ksh_studio.config import TrainConfig
from ksh_studio.lora.export import LoraWeights
from ksh_studio.lora.names import TEXT_ENCODER_TARGETS, UNET_TARGETS
from ksh_studio.models.loading import Base
from ksh_studio.training.sampler import generator

NAME = "default"


def add_adapter(base: Base, config: TrainConfig) -> dict[str, nn.Parameter]:
    """Put a fresh LoRA onto the base and return its parameters by `<unet|text_encoder>.<peft's key>`.

    Always fp32: in half precision the small steps of training round away. Up matrices begin at zero, so the base draws
    as before; down matrices come from the seed, not from whatever random numbers were drawn before.
    """
    models = [("unet", base.unet, UNET_TARGETS[config.target_modules])]
    if config.train_text_encoder:
        models.append(("text_encoder", base.text_encoder, TEXT_ENCODER_TARGETS))
    found: dict[str, nn.Parameter] = {}
    for part, model, targets in models:
        model.add_adapter(LoraConfig(r=config.rank, lora_alpha=config.lora_alpha, target_modules=list(targets)), NAME)
        for name, parameter in model.named_parameters():
            if f".{NAME}.weight" in name and "lora_" in name:
                parameter.data = parameter.data.float()
                parameter.requires_grad_(True)
                found[f"{part}.{name.replace(f'.{NAME}.', '.')}"] = parameter
    for index, (name, parameter) in enumerate(found.items()):
        if ".lora_A." in name:
            fresh = torch.empty(parameter.shape)
            random = generator(config.seed, "adapter", index, torch.device("cpu"))
            nn.init.kaiming_uniform_(fresh, a=math.sqrt(5), generator=random)
            parameter.data.copy_(fresh)
    return found


def lora_weights(values: dict[str, Tensor], lora_alpha: float) -> LoraWeights:
    """What `save_lora` takes, of parameters (or their average) by the names of `add_adapter`."""
    parts = {
        part: {name.removeprefix(f"{part}."): value for name, value in values.items() if name.startswith(f"{part}.")}
        for part in ("unet", "text_encoder")
    }
    return LoraWeights(parts["unet"], lora_alpha, parts["text_encoder"])
