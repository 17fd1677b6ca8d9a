"""A trained LoRA of any kind as peft holds it, before it is a file."""

from dataclasses import dataclass, field

from torch import Tensor

from ksh_studio.lora.file.kinds import Kind
from ksh_studio.lora.file.names import Part


@dataclass(frozen=True)
class LoraWeights:
    """A trained LoRA as peft holds it."""

    unet: dict[str, Tensor]
    """`<module path>.lora_A.weight` and `.lora_B.weight`, as `get_peft_model_state_dict` names them."""
    lora_alpha: float
    """The LoRA acts with lora_alpha / rank."""
    text_encoder: dict[str, Tensor] = field(default_factory=dict)
    """The same for the text encoder; empty when it was not trained."""

    kind: Kind = "lora"
    rank: int | None = None
    """Needed for lokr, whose factors do not always tell it."""

    def parts(self) -> tuple[tuple[Part, dict[str, Tensor]], ...]:
        """Both models' tensors."""
        return ("unet", self.unet), ("text_encoder", self.text_encoder)


def path_of(key: str) -> str:
    """Module path of one of peft's keys."""
    return key.removesuffix(".weight").rpartition(".")[0]
