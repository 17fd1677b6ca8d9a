import pytest
import torch
from peft import LoraConfig, get_peft_model_state_dict

from ksh_studio.config import TrainConfig
from ksh_studio.lora.file.metadata import base_family, modelspec
from ksh_studio.lora.file.names import TEXT_ENCODER_TARGETS, UNET_TARGETS
from ksh_studio.lora.file.weights import LoraWeights
from ksh_studio.lora.save import save_lora
from ksh_studio.training.step.adapter import add_adapter, lora_weights
from tests.lora.bases import tiny_base
from tests.tiny import tiny_base_folder

RANK, ALPHA = 8, 4.0


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory):
    """The folder of a tiny Stable Diffusion model."""
    return tiny_base_folder(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture
def load_base(base_folder):
    """Loads the tiny base anew at each call: (its pipeline, what our functions take)."""
    return lambda: tiny_base(base_folder)


@pytest.fixture
def random_lora(load_base):
    """Puts a LoRA with random, non-zero matrices onto a fresh base: (base, its weights)."""

    def make(targets="transformer", text_encoder=True, rank=RANK, alpha=ALPHA):
        _, base = load_base()
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


@pytest.fixture
def random_adapter(load_base):
    """Puts an adapter of a kind with random values onto a fresh base: (base, what save_lora takes)."""

    def make(adapter_type, targets="transformer", text_encoder=True, rank=4, alpha=2.0):
        _, base = load_base()
        config = TrainConfig(
            adapter=adapter_type, target_modules=targets, rank=rank, lora_alpha=alpha, train_text_encoder=text_encoder
        )
        parameters = add_adapter(base, config)
        random = torch.Generator().manual_seed(3)
        for name, parameter in parameters.items():
            noise = torch.randn(parameter.shape, generator=random)
            parameter.data = parameter * (1 + 0.1 * noise) if "magnitude" in name else noise * 0.3
        return base, lora_weights({name: p.detach() for name, p in parameters.items()}, config)

    return make


@pytest.fixture
def two_loras(random_lora, metadata, tmp_path):
    """Two LoRA files of unlike rank and alpha, convolutions and text encoder in them."""
    paths = []
    for n, (rank, alpha) in enumerate([(4, 2.0), (2, 3.0)]):
        base, weights = random_lora("all", rank=rank, alpha=alpha)
        random = torch.Generator().manual_seed(n)
        for part in (weights.unet, weights.text_encoder):
            for key, value in part.items():
                part[key] = torch.randn(value.shape, generator=random) * 0.2
        paths.append(save_lora(tmp_path / f"part-{n}.safetensors", base, weights, metadata).path)
    return paths
