"""What this machine has and what is missing, each as one sentence with its remedy."""

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec

from ksh_studio.locales import Sentence, sentence
from ksh_studio.models.device import DeviceInfo, probe
from ksh_studio.models.registry import default_base, default_captioner
from ksh_studio.project.workspace import Workspace

EXTRAS = ("bitsandbytes", "xformers", "tensorboard", "wandb", "trackio")
MENDED_PILLOW = 13
"""The first major version without the known holes of 12; gradio asks for an older one."""
SMALL_DISK_GB = 25  # Anything V5 and BLIP-2 take 19 GB


def findings(workspace: Workspace) -> Iterator[Sentence]:
    """Look at Python, PyTorch, the GPU, the disk and the extras. The device is looked at in a child process."""
    yield sentence("doctor.python", version=platform.python_version(), system=platform.platform())
    device = probe()
    if not device.torch:
        yield sentence("doctor.no_torch")
    else:
        yield sentence("doctor.torch", version=device.torch)
        yield _device(device)
    yield from _pillow()
    models = {"base": default_base(device.type), "captioner": default_captioner(device.type)}
    yield sentence("doctor.models", **models)
    yield from _disk(workspace)
    there = [name for name in EXTRAS if find_spec(name)]
    yield sentence("doctor.extras", there=", ".join(there) or "–", all=", ".join(EXTRAS))


def _pillow() -> Iterator[Sentence]:
    """Say what is open in a Pillow that gradio still asks for."""
    installed = version("pillow")
    if int(installed.split(".")[0]) < MENDED_PILLOW:
        yield sentence("doctor.pillow", version=installed, command=f'{sys.executable} -m pip install "pillow>=13,<14"')


def _device(device: DeviceInfo) -> Sentence:
    if device.type == "cuda":
        return sentence("doctor.gpu", name=device.name, memory=f"{device.memory_gb:.0f}")
    if shutil.which("nvidia-smi") is None:
        return sentence("doctor.cpu")
    if device.cuda_build:
        return sentence("doctor.old_driver")
    command = f'{sys.executable} -m pip install "torch>=2.10,<2.14" --index-url https://download.pytorch.org/whl/cu128'
    return sentence("doctor.no_cuda", command=command)


def _disk(workspace: Workspace) -> Iterator[Sentence]:
    there = next(folder for folder in (workspace.root, *workspace.root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free / 1e9
    values = {"path": str(workspace.root), "free": f"{free:.0f}", "needed": str(SMALL_DISK_GB)}
    yield sentence("doctor.disk" if free >= SMALL_DISK_GB else "doctor.small_disk", **values)
