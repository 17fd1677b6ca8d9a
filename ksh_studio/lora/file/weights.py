"""A trained LoRA of any adapter type as peft holds it, before it is written to a file."""

from dataclasses import dataclass, field

from torch import Tensor

from ksh_studio.lora.file.adapter_types import AdapterType
from ksh_studio.lora.file.names import Component


@dataclass(frozen=True)
class LoraWeights:
    """The weights of a trained LoRA by peft's keys, with what is needed to scale them."""

    unet: dict[str, Tensor]
    """`<module path>.lora_A.weight` and `.lora_B.weight`, as `get_peft_model_state_dict` names them."""
    lora_alpha: float
    """The change is multiplied by lora_alpha / rank."""
    text_encoder: dict[str, Tensor] = field(default_factory=dict)
    """The same for the text encoder; empty when it was not trained."""
    adapter_type: AdapterType = "lora"
    rank: int | None = None
    """Needed for lokr, whose factors do not always show it."""

    def components(self) -> tuple[tuple[Component, dict[str, Tensor]], ...]:
        """The weights of both models, with the name of each model."""
        return ("unet", self.unet), ("text_encoder", self.text_encoder)


def module_path(key: str) -> str:
    """The path of the module that one of peft's keys belongs to."""
    return key.removesuffix(".weight").rpartition(".")[0]
