from types import SimpleNamespace

import pytest
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig, get_peft_model_state_dict

from ksh_studio.lora.file.metadata import base_family, modelspec
from ksh_studio.lora.file.names import TEXT_ENCODER_TARGETS, UNET_TARGETS
from ksh_studio.lora.file.weights import LoraWeights
from tests.tiny import tiny_base_folder

RANK, ALPHA = 8, 4.0


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory):
    return tiny_base_folder(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture
def fresh(base_folder):
    """Loads the tiny base anew at each call: (pipeline, what our functions take)."""

    def load():
        pipe = StableDiffusionPipeline.from_pretrained(base_folder, safety_checker=None)
        pipe.set_progress_bar_config(disable=True)
        entry = SimpleNamespace(name="tiny")
        return pipe, SimpleNamespace(entry=entry, unet=pipe.unet, text_encoder=pipe.text_encoder)

    return load


@pytest.fixture
def trained(fresh):
    """Puts a LoRA with random, non-zero matrices onto a fresh base: (base, its weights)."""

    def make(targets="transformer", text_encoder=True, rank=RANK, alpha=ALPHA):
        _, base = fresh()
        torch.manual_seed(1)
        models = [(base.unet, UNET_TARGETS[targets])]
        models += [(base.text_encoder, TEXT_ENCODER_TARGETS)] if text_encoder else []
        for model, names in models:
            model.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(names)))
            for name, parameter in model.named_parameters():
                if "lora_" in name:
                    torch.nn.init.normal_(parameter, std=0.2)
        states = [get_peft_model_state_dict(model, adapter_name="default") for model, _ in models]
        return base, LoraWeights(states[0], alpha, states[1] if text_encoder else {})

    return make


@pytest.fixture
def metadata():
    family = base_family(32, (16, 32), "tiny")
    return (
        family
        | modelspec("ksh", "drawn by KSH drawing style", 64, "epsilon")
        | {
            "ss_sd_model_name": "tiny",
            "ss_network_module": "networks.lora",
            "ss_network_dim": str(RANK),
            "ss_network_alpha": str(ALPHA),
            "ss_steps": "500",
            "ss_tag_frequency": '{"ksh": {"drawn by KSH drawing style": 3}}',
        }
    )
