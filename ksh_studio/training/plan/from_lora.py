"""What a training that goes on from a LoRA file takes over from it (no torch)."""

from ksh_studio.config import TrainConfig
from ksh_studio.lora.file.header import read_header
from ksh_studio.lora.file.names import smallest_targets
from ksh_studio.lora.listing import find_lora
from ksh_studio.project.workspace import Workspace


def taken_over(config: TrainConfig, workspace: Workspace) -> TrainConfig:
    """The settings with rank, alpha and reach, where they were left open, as in the file `init_lora` names.

    Raises StudioError when there is no such file in the workspace or it is no LoRA.
    """
    if not config.init_lora or (config.rank and config.lora_alpha and config.target_modules != "auto"):
        return config  # also of a job that goes on: the file may be gone by then
    info = read_header(find_lora(workspace, config.init_lora))
    update: dict[str, object] = {}
    if config.rank is None and info.rank <= 256:
        update["rank"] = info.rank
    if config.lora_alpha is None and info.alpha is not None and 0 < info.alpha <= 512:
        update["lora_alpha"] = info.alpha
    if config.target_modules == "auto":
        update["target_modules"] = smallest_targets(info.sizes)
    return config.model_copy(update=update)
