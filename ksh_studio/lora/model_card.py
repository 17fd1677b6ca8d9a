"""The model card of a published LoRA: what the Hub's page shows about it (no torch)."""

from dataclasses import dataclass
from pathlib import Path

from ksh_studio.lora.file.adapter_types import AdapterType
from ksh_studio.lora.file.header import LoraHeader

_TYPE_NAMES: dict[AdapterType, str] = {"lora": "LoRA", "dora": "DoRA", "loha": "LoHa", "lokr": "LoKr", "full": "Full"}


@dataclass(frozen=True)
class ExamplePicture:
    """A picture that the card shows, and the prompt it was made with."""

    path: Path
    prompt: str


def model_card(header: LoraHeader, repo_id: str, licence: str, base: str, prompts: list[str]) -> str:
    """The text of the model card: front matter as the Hub reads it, then a few lines for people.

    licence: the Hub's name of it, or empty. base: the hub id of the base model, or empty when it is not on the Hub.
    prompts: those of the pictures `images/1.png`, `images/2.png`, ... in the repository.
    """
    from huggingface_hub import ModelCardData

    adapter_type, type_name = header.adapter_type, _TYPE_NAMES[header.adapter_type]
    widget = [{"text": text or "-", "output": {"url": f"images/{n}.png"}} for n, text in enumerate(prompts, start=1)]
    data = ModelCardData(
        license=licence or None,
        base_model=base or None,
        library_name="diffusers" if adapter_type == "lora" else None,
        pipeline_tag="text-to-image",
        tags=["text-to-image", "stable-diffusion", "lora", *([adapter_type] if adapter_type != "lora" else [])],
        instance_prompt=header.trigger or None,
        widget=widget or None,
    )
    title = header.metadata.get("modelspec.title") or header.label
    lines = ["---", data.to_yaml(), "---", "", f"# {title}", ""]
    lines.append(f"{type_name} of an artist's drawing style, for {base or header.base or 'Stable Diffusion 1.5'}.")
    if header.trigger:
        lines += ["", "Put this into the prompt:", "", "```text", header.trigger, "```"]
    if adapter_type == "lora" and base:
        lines += ["", *_diffusers_example(base, repo_id, header.path.name)]
    elif adapter_type != "lora":
        lines += ["", f"A {type_name} file loads in KSH Studio, Forge and ComfyUI; diffusers does not load it."]
    lines += ["", f"Made with KSH Studio: rank {header.rank}, {header.metadata.get('ss_steps') or '?'} steps.", ""]
    return "\n".join(lines)


def _diffusers_example(base: str, repo_id: str, name: str) -> list[str]:
    """The lines of Python that load the file `name` of the repository onto its base."""
    return [
        "```python",
        "from diffusers import StableDiffusionPipeline",
        "",
        f'pipeline = StableDiffusionPipeline.from_pretrained("{base}")',
        f'pipeline.load_lora_weights("{repo_id}", weight_name="{name}")',
        "```",
    ]
