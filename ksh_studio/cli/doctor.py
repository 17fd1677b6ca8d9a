"""What this machine has and what is missing, each as one sentence with its remedy."""

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec

from ksh_studio.locales import Language, translate
from ksh_studio.models.device import DeviceInfo, probe
from ksh_studio.models.registry import default_base, default_captioner
from ksh_studio.project.workspace import Workspace

EXTRAS = ("bitsandbytes", "xformers", "tensorboard", "wandb", "trackio")
SMALL_DISK_GB = 25  # Anything V5 and BLIP-2 take 19 GB


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    key: str
    values: dict[str, str] = field(default_factory=dict)

    def text(self, language: Language) -> str:
        """The sentence in `language`."""
        return translate(self.key, language, **self.values)


def findings(workspace: Workspace) -> Iterator[Finding]:
    """Look at Python, PyTorch, the GPU, the disk and the extras. The device is looked at in a child process."""
    yield Finding("doctor.python", {"version": platform.python_version(), "system": platform.platform()})
    device = probe()
    if not device.torch:
        yield Finding("doctor.no_torch")
    else:
        yield Finding("doctor.torch", {"version": device.torch})
        yield _device(device)
    models = {"base": default_base(device.kind), "captioner": default_captioner(device.kind)}
    yield Finding("doctor.models", models)
    yield from _disk(workspace)
    there = [name for name in EXTRAS if find_spec(name)]
    yield Finding("doctor.extras", {"there": ", ".join(there) or "–", "all": ", ".join(EXTRAS)})


def _device(device: DeviceInfo) -> Finding:
    if device.kind == "cuda":
        return Finding("doctor.gpu", {"name": device.name, "memory": f"{device.memory_gb:.0f}"})
    if shutil.which("nvidia-smi") is None:
        return Finding("doctor.cpu")
    if device.cuda_build:
        return Finding("doctor.old_driver")
    command = f'{sys.executable} -m pip install "torch>=2.10,<2.14" --index-url https://download.pytorch.org/whl/cu128'
    return Finding("doctor.no_cuda", {"command": command})


def _disk(workspace: Workspace) -> Iterator[Finding]:
    there = next(folder for folder in (workspace.root, *workspace.root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free / 1e9
    values = {"path": str(workspace.root), "free": f"{free:.0f}", "needed": str(SMALL_DISK_GB)}
    yield Finding("doctor.disk" if free >= SMALL_DISK_GB else "doctor.small_disk", values)
