"""Which LoRA files a request wears, and how strongly: its own setting and the tags in its prompt. No torch."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ksh_studio.config import GenerateConfig
from ksh_studio.generation.prompt.lora_tags import LoraTag
from ksh_studio.generation.prompt.parse import Parsed
from ksh_studio.locales import Sentence, sentence
from ksh_studio.lora.file.header import LoraInfo, read_header
from ksh_studio.lora.shelf import find_lora, list_loras
from ksh_studio.project.workspace import Project


@dataclass(frozen=True)
class Chosen:
    """A LoRA file and its strength in both parts of the model."""

    path: Path
    te: float
    unet: float
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


def chosen_loras(config: GenerateConfig, parsed: Parsed, project: Project) -> tuple[list[Chosen], list[Sentence]]:
    """The LoRA files to wear, each once, and a warning for every tag that names none.

    A tag names a file of the project or of the workspace without its ending; the newest, where two have that name. The
    strengths of several tags of one file add up, as in A1111.
    Raises StudioError when the file of the setting is missing, outside the workspace, or no LoRA.
    """
    found: dict[Path, Chosen] = {}
    if config.lora:
        path = find_lora(project.workspace, config.lora)
        read_header(path)
        _wear(found, Chosen(path, config.lora_scale, config.lora_scale, by_setting=config.lora_scale))
    warnings: list[Sentence] = []
    known = {info.label: info for info in reversed(_shelf(parsed, project))}
    for tag in parsed.loras:
        if tag.name in known:
            _wear(found, Chosen(known[tag.name].path, tag.te, tag.unet))
        else:
            warnings.append(sentence("generate.no_such_lora", name=tag.name[:100]))
    return list(found.values()), warnings


def _shelf(parsed: Parsed, project: Project) -> list[LoraInfo]:
    return list_loras(project.workspace, project) if parsed.loras else []


def _wear(found: dict[Path, Chosen], new: Chosen) -> None:
    old = found.get(new.path)
    if old is not None:
        new = Chosen(new.path, old.te + new.te, old.unet + new.unet, old.by_setting + new.by_setting)
    found[new.path] = new


def _tensor_hash(path: Path) -> str:
    """First 12 hex digits of the SHA-256 of what follows a safetensors header."""
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
