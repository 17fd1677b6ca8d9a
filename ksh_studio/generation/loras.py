"""Which LoRA files a request applies, and how strongly: its LoRA setting and the tags in its prompt. No torch."""

from dataclasses import dataclass
from pathlib import Path

from ksh_studio.config import GenerateConfig
from ksh_studio.disk import sha256
from ksh_studio.generation.prompt.lora_tags import LoraTag
from ksh_studio.generation.prompt.parse import Parsed
from ksh_studio.locales import Sentence, sentence
from ksh_studio.lora.file.header import read_header
from ksh_studio.lora.listing import find_lora, list_loras
from ksh_studio.project.workspace import Project


@dataclass(frozen=True)
class AppliedLora:
    """A LoRA file and its strength in both parts of the model."""

    path: Path
    te: float
    """Strength in the text encoder."""
    unet: float
    """Strength in the UNet."""
    by_setting: float = 0.0
    """How much of the strength comes from the setting, which no tag of the prompt says."""

    @property
    def name(self) -> str:
        """As a prompt's tag names it."""
        return self.path.stem

    @property
    def hash(self) -> str:
        """AutoV3, 12 hex digits: of the tensors, so that it survives edits of the metadata."""
        return read_header(self.path).hash or _tensor_hash(self.path)

    @property
    def missing_tag(self) -> str:
        """The tag that the prompt lacks for readers who know only prompts; empty when it lacks none."""
        return LoraTag(self.name, self.by_setting, self.by_setting).text() if self.by_setting else ""


def loras_to_apply(
    config: GenerateConfig, prompt: Parsed, project: Project
) -> tuple[list[AppliedLora], list[Sentence]]:
    """The LoRA files that a request applies, each once, and a warning for every tag that names none.

    A tag names a file of the project or of the workspace without its ending; the newest, where two have that name. The
    strengths of several tags of one file add up, as in A1111.
    Raises StudioError when the file of the setting is missing, outside the workspace, or no LoRA.
    """
    loras: dict[Path, AppliedLora] = {}
    if config.lora:
        path = find_lora(project.workspace, config.lora)
        read_header(path)
        _add(loras, AppliedLora(path, config.lora_scale, config.lora_scale, by_setting=config.lora_scale))
    warnings: list[Sentence] = []
    newest = _newest_by_name(project) if prompt.loras else {}
    for tag in prompt.loras:
        if tag.name in newest:
            _add(loras, AppliedLora(newest[tag.name], tag.te, tag.unet))
        else:
            warnings.append(sentence("generate.no_such_lora", name=tag.name[:100]))
    return list(loras.values()), warnings


def _newest_by_name(project: Project) -> dict[str, Path]:
    return {info.label: info.path for info in reversed(list_loras(project.workspace, project))}


def _add(loras: dict[Path, AppliedLora], lora: AppliedLora) -> None:
    """Add a LoRA; where its file is applied already, add up their strengths."""
    same = loras.get(lora.path)
    if same is not None:
        lora = AppliedLora(lora.path, same.te + lora.te, same.unet + lora.unet, same.by_setting + lora.by_setting)
    loras[lora.path] = lora


def _tensor_hash(path: Path) -> str:
    """First 12 hex digits of the SHA-256 of what follows a safetensors header."""
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    return sha256(path, start=8 + header)[:12]
