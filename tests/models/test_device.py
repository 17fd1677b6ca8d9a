"""The device is looked at in a child process; xformers is never heard on a CPU."""

import importlib.util
import subprocess
import sys

import pytest
import torch

from ksh_studio.models import device as device_module
from ksh_studio.models.device import choose_attention_backend, has_bf16, pick_device, pick_dtype, probe
from tests.tiny import tiny_base_folder

CPU = torch.device("cpu")
DRAW = """
import sys
import torch
from ksh_studio.config import GenerateConfig
from ksh_studio.generation.request import settle
from ksh_studio.generation.sampling.denoising import make_pictures
from ksh_studio.lora.on_base.attach import attach
from ksh_studio.models.loading import load_base
from ksh_studio.models.registry import base_entry
base = load_base(base_entry(sys.argv[1]), torch.device("cpu"), "auto", sys.argv[2])
request = settle(GenerateConfig(prompt="a fox", num_inference_steps=2), base.entry)
picture = make_pictures(base, request, [1])[0]
assert picture.size == (64, 64)
"""


def test_the_probe_sees_what_this_process_sees():
    info = probe()
    assert info.type == pick_device().type
    assert info.torch == torch.__version__
    assert info.cuda_build == (torch.version.cuda is not None or torch.version.hip is not None)
    assert info.bf16 == has_bf16(pick_device())


@pytest.mark.parametrize("failure", ["crash", "hang", "nonsense"])
def test_a_probe_that_fails_means_no_gpu(monkeypatch, failure):
    def run(command, **options):
        if failure == "hang":
            raise subprocess.TimeoutExpired(command, options["timeout"])
        if failure == "crash":
            raise subprocess.CalledProcessError(-11, command)
        return subprocess.CompletedProcess(command, 0, b"nonsense")

    monkeypatch.setattr(device_module.subprocess, "run", run)
    assert (probe().type, probe().torch) == ("cpu", "")


def test_precision_is_as_wanted_else_what_the_cpu_is_good_at():
    assert pick_dtype(CPU, "no") == torch.float32
    assert pick_dtype(CPU, "fp16") == torch.float16
    assert pick_dtype(CPU, "bf16") == torch.bfloat16
    assert pick_dtype(CPU) == (torch.bfloat16 if has_bf16(CPU) else torch.float32)


def test_xformers_is_out_of_the_way_on_a_cpu():
    from diffusers.utils import import_utils

    assert choose_attention_backend(CPU, "xformers") == "sdpa"
    assert import_utils.is_xformers_available() is False


def test_a_process_with_xformers_installed_draws_on_a_cpu_without_a_word(tmp_path):
    if importlib.util.find_spec("xformers") is None:
        pytest.skip("xformers is not installed on this machine")
    folder = tiny_base_folder(tmp_path / "base")
    command = [sys.executable, "-c", DRAW, str(folder), "xformers"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
