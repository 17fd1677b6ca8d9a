"""The LoRA while it is trained: put onto the base, its parameters by name, and back out as what is saved."""

import math

import torch
from peft import LoHaConfig, LoKrConfig, LoraConfig, PeftConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from ksh_studio.config import SettledTraining
from ksh_studio.locales import Sentence, sentence
from ksh_studio.lora.file.names import TEXT_ENCODER_TARGETS, UNET_TARGETS
from ksh_studio.lora.file.spellings import TENSOR_NAMES
from ksh_studio.lora.file.weights import LoraWeights
from ksh_studio.models.loading import Base
from ksh_studio.training.random_streams import generator

NAME = "default"
LEAST_PRODIGY_RATE = 0.1
"""Its authors advise 1; a tenth of that is already timid."""
_RANDOM = ("lora_A", "hada_w1_a", "hada_w1_b", "hada_w2_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b")
"""Factors that begin at random; one other of each module begins at zero, so that the base draws as before."""


def add_adapter(base: Base, config: SettledTraining) -> dict[str, nn.Parameter]:
    """Put a fresh LoRA onto the base and return its parameters by `<unet|text_encoder>.<peft's key>`.

    Always fp32: in half precision the small steps of training round away. Random factors come from the seed, not from
    whatever random numbers were drawn before.
    """
    models = [("unet", base.unet, UNET_TARGETS[config.target_modules])]
    if config.train_text_encoder:
        models.append(("text_encoder", base.text_encoder, TEXT_ENCODER_TARGETS))
    parameters: dict[str, nn.Parameter] = {}
    for part, model, targets in models:
        if config.adapter in ("lora", "dora"):
            model.add_adapter(peft_config(config, targets), NAME)
        else:  # what diffusers and transformers offer is for LoRA only
            inject_adapter_in_model(peft_config(config, targets), model, NAME)
        for name, parameter in model.named_parameters():
            if f".{NAME}" in name and not TENSOR_NAMES.isdisjoint(name.split(".")):
                parameter.data = parameter.data.float()
                parameter.requires_grad_(True)
                parameters[f"{part}.{name.replace(f'.{NAME}', '')}"] = parameter
        if config.adapter == "dora":
            _start_magnitudes(model)
    for index, (name, parameter) in enumerate(parameters.items()):
        if name.removesuffix(".weight").endswith(_RANDOM):
            fresh = torch.empty(parameter.shape)
            random = generator(config.seed, "adapter", index, torch.device("cpu"))
            nn.init.kaiming_uniform_(fresh, a=math.sqrt(5), generator=random)
            parameter.data.copy_(fresh)
    return parameters


def peft_config(config: SettledTraining, targets: tuple[str, ...]) -> PeftConfig:
    """Peft's settings of the chosen kind of LoRA on these modules."""
    rank, alpha, modules = config.rank, config.lora_alpha, list(targets)
    if config.adapter == "loha":
        return LoHaConfig(r=rank, alpha=alpha, target_modules=modules)
    if config.adapter == "lokr":
        return LoKrConfig(r=rank, alpha=alpha, target_modules=modules)
    return LoraConfig(r=rank, lora_alpha=alpha, target_modules=modules, use_dora=config.adapter == "dora")


def lora_weights(values: dict[str, Tensor], config: SettledTraining) -> LoraWeights:
    """What `save_lora` takes, of parameters (or their average) by the names of `add_adapter`."""
    parts = {
        part: {name.removeprefix(f"{part}."): value for name, value in values.items() if name.startswith(f"{part}.")}
        for part in ("unet", "text_encoder")
    }
    return LoraWeights(parts["unet"], config.lora_alpha, parts["text_encoder"], config.adapter, config.rank)


def notes_of(config: SettledTraining) -> list[Sentence]:
    """What the artist should know before training: which programs do not load this type, a rate that teaches nothing.

    Prodigy multiplies the rate with the pace that it finds: an ordinary one, as of a preset, makes hardly a step of it.
    """
    notes = [] if config.adapter == "lora" else [sentence(f"adapter.{config.adapter}_loads")]
    if config.optimizer == "prodigy" and config.learning_rate < LEAST_PRODIGY_RATE:
        notes.append(sentence("adapter.prodigy_rate", rate=f"{config.learning_rate:.1e}"))
    return notes


def _start_magnitudes(model: nn.Module) -> None:
    """DoRA begins at the lengths of the base's own weights, in fp32 also where the base is in half precision."""
    for layer in model.modules():
        if isinstance(layer, LoraLayer) and NAME in layer.lora_magnitude_vector:
            weight, magnitude = layer.get_base_layer().weight, layer.lora_magnitude_vector[NAME].weight
            magnitude.data.copy_(weight.detach().float().flatten(1).norm(dim=1).reshape(magnitude.shape))
