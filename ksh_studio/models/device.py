"""Finds the device of this machine, and chooses the precision and the attention backend for it.

Importing this module does not import torch. The page calls `probe`, which looks for a GPU in a child process; the other
functions are for processes that use torch anyway.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

    from ksh_studio.config import Attention

DeviceType = Literal["cuda", "mps", "cpu"]
PROBE_SECONDS = 120
XFORMERS_PROBE = (
    "import torch, xformers.ops as x; q = torch.randn(1, 64, 2, 40, device='cuda', dtype=torch.float16);"
    "x.memory_efficient_attention(q, q, q).sum().item()"
)


@dataclass(frozen=True)
class DeviceInfo:
    """The device that this machine computes on."""

    type: DeviceType
    name: str
    memory_gb: float
    """Gigabytes (10^9 bytes) of GPU memory; 0 for the CPU and for an Apple GPU."""
    bf16: bool
    """Whether it has instructions for bfloat16."""
    torch: str
    """Version of PyTorch; empty when it cannot be imported."""
    cuda_build: bool
    """Whether this PyTorch could use an NVIDIA GPU."""


def probe() -> DeviceInfo:
    """Look for a GPU in a child process, so that this one needs no torch and holds no GPU memory.

    When the child fails or takes longer than PROBE_SECONDS, torch cannot be used: the result is then the CPU, without a
    version of torch.
    """
    command = [sys.executable, "-m", "ksh_studio.models.device"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, check=True, stdin=subprocess.DEVNULL)
        return DeviceInfo(**json.loads(done.stdout))
    except (subprocess.SubprocessError, OSError, ValueError, TypeError):
        return DeviceInfo("cpu", "CPU", 0.0, False, "", False)


def inspect_device() -> DeviceInfo:
    """The device that this process can use; imports torch."""
    import torch

    device = pick_device()
    name, memory = "CPU", 0.0
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name, memory = properties.name, properties.total_memory / 1e9
    elif device.type == "mps":
        name = "Apple GPU"
    built = torch.version.cuda is not None or torch.version.hip is not None
    return DeviceInfo(_device_type(device), name, round(memory, 1), has_bf16(device), torch.__version__, built)


def _device_type(device: "torch.device") -> DeviceType:
    return "cuda" if device.type == "cuda" else "mps" if device.type == "mps" else "cpu"


def pick_device() -> "torch.device":
    """The device to compute on: CUDA, else MPS, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def has_bf16(device: "torch.device") -> bool:
    """Whether the device has bfloat16 instructions (AVX512-BF16 or AMX on a CPU), so that it is faster than fp32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def pick_dtype(device: "torch.device", precision: Literal["auto", "no", "bf16", "fp16"] = "auto") -> "torch.dtype":
    """The data type for a precision. With "auto" it is bf16 where the device has it, else fp16 on CUDA, else fp32."""
    import torch

    named = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision in named:
        return named[precision]
    if has_bf16(device):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32


def choose_attention_backend(device: "torch.device", setting: "Attention" = "sdpa") -> "Attention":
    """The attention backend to use; must be called before diffusers' model modules are imported.

    setting: what the artist has set; "sdpa", the default, is PyTorch's own attention. xformers is used only when the
    setting asks for it, there is a CUDA device, and one small attention call succeeds in a child process. Otherwise
    diffusers is made to take it for not installed: it would import it by itself, which prints warnings with a CPU build
    of torch.
    """
    from diffusers.utils import import_utils

    if setting == "xformers" and import_utils.is_xformers_available() and device.type == "cuda" and _xformers_works():
        return "xformers"
    import_utils._xformers_available = False
    return "sdpa"


def _xformers_works() -> bool:
    command = [sys.executable, "-c", XFORMERS_PROBE]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, stdin=subprocess.DEVNULL)
    except (subprocess.SubprocessError, OSError):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(inspect_device())))
