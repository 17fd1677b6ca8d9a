"""Which LoRA files a request applies, and how strongly: its LoRA setting and the tags in its prompt. No torch."""

from dataclasses import dataclass
from pathlib import Path

from ksh_studio.config import GenerateConfig
from ksh_studio.disk import sha256
from ksh_studio.generation.prompt.lora_tags import LoraTag
from ksh_studio.generation.prompt.parse import Parsed
from ksh_studio.locales import Sentence, sentence
from ksh_studio.lora.file.header import read_header
from ksh_studio.lora.folder import paths_by_name, plain_name
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
    """The part of the strength that comes from the setting and not from tags in the prompt."""

    @property
    def name(self) -> str:
        """The name that a tag in a prompt uses: the file's name without its ending."""
        return self.path.stem

    @property
    def hash(self) -> str:
        """The AutoV3 hash, 12 hex digits. It covers the tensors only, so that it stays when the metadata are edited."""
        return read_header(self.path).hash or _tensor_hash(self.path)

    @property
    def missing_tag(self) -> str:
        """The tag that other programs need in the prompt for the setting's part; empty when there is none."""
        return LoraTag(self.name, self.by_setting, self.by_setting).text() if self.by_setting else ""


def loras_to_apply(
    config: GenerateConfig, prompt: Parsed, project: Project
) -> tuple[list[AppliedLora], list[Sentence]]:
    """The LoRA files that a request applies, each once, and a warning for every tag that names none.

    `lora.folder` says by which names a tag can call a file of the project or the workspace. The strengths of several
    tags of one file are added, as in A1111.
    Raises StudioError when the file of the setting is missing, outside the workspace, or no LoRA.
    """
    loras: dict[Path, AppliedLora] = {}
    if config.lora:
        path = find_lora(project.workspace, config.lora)
        read_header(path)
        _add(loras, AppliedLora(path, config.lora_scale, config.lora_scale, by_setting=config.lora_scale))
    warnings: list[Sentence] = []
    headers = list_loras(project.workspace, project).usable if prompt.loras else []
    paths = paths_by_name(project.workspace, headers)
    for tag in prompt.loras:
        path_of_tag = paths.get(plain_name(tag.name))
        if path_of_tag is not None:
            _add(loras, AppliedLora(path_of_tag, tag.te, tag.unet))
        else:
            warnings.append(sentence("generate.no_such_lora", name=tag.name[:100]))
    return list(loras.values()), warnings


def _add(loras: dict[Path, AppliedLora], lora: AppliedLora) -> None:
    """Add a LoRA; when its file is in `loras` already, add the strengths."""
    same = loras.get(lora.path)
    if same is not None:
        lora = AppliedLora(lora.path, same.te + lora.te, same.unet + lora.unet, same.by_setting + lora.by_setting)
    loras[lora.path] = lora


def _tensor_hash(path: Path) -> str:
    """First 12 hex digits of the SHA-256 of what follows a safetensors header."""
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    return sha256(path, start=8 + header)[:12]
