"""Child processes of the studio: no shell, a session of their own, and only the environment that they need.

Every process of the studio computes the same numbers, whoever started it: what decides how sums are rounded is set in
one place, here, and passed on to children.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import IO

from ksh_studio import ROOT

PASSED_ON = frozenset(
    "PATH HOME LANG LANGUAGE TZ TMPDIR TEMP TMP USERPROFILE LOCALAPPDATA APPDATA SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC "
    "PROGRAMDATA NUMBER_OF_PROCESSORS PROCESSOR_ARCHITECTURE LD_LIBRARY_PATH LD_PRELOAD DYLD_LIBRARY_PATH "
    "XDG_CACHE_HOME XDG_DATA_HOME XDG_CONFIG_HOME SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE "
    "VECLIB_MAXIMUM_THREADS NUMEXPR_NUM_THREADS CONDA_PREFIX VIRTUAL_ENV".split()
)
"""What a child gets of our environment by name, in capitals: where files, libraries and certificates are."""
PASSED_ON_PREFIXES = tuple(
    "LC_ KSH_ PYTORCH_ TORCH ATEN_ ONEDNN_ DNNL_ CUDA_ CUBLAS_ CUDNN_ NVIDIA_ NCCL_ HSA_ HIP_ ROCR_ ROCM_ ROCBLAS_ "
    "HIPBLAS MIOPEN_ AMD_ GPU_ TRITON_ XPU_ ZE_ ONEAPI_ SYCL_ GLOO_ UCX_ FI_ OMP_ KMP_ GOMP_ MKL_ OPENBLAS_ MALLOC_ "
    "MIMALLOC_ JEMALLOC_ TCMALLOC_ ACCELERATE_ XFORMERS_ BNB_ BITSANDBYTES_ HF_ TRANSFORMERS_ DIFFUSERS_ SAFETENSORS_ "
    "WANDB_ TRACKIO_ TENSORBOARD_".split()
)
"""By the beginning of the name: what GPUs, allocators, NCCL, the libraries and the trackers are set by."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
TOKEN = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE_KEY", re.IGNORECASE)
"""A variable with one of these in its name is never passed on by itself: see `jobs.tokens`."""
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
COMPUTING: Mapping[str, str] = MappingProxyType(
    {
        # Threads that wait must sleep: beside another busy process, spinning ones made a picture 2 to 30 times slower.
        "OMP_WAIT_POLICY": "PASSIVE",
        # Where a tensor happens to lie in memory changes the last bit of MKL's sums on some processors, unless it is
        # asked not to: without this a resumed training is not the uninterrupted one.
        "MKL_CBWR": "AUTO,STRICT",
    }
)
"""Read by OpenMP and MKL at their first use, so it is set before torch is imported; what the artist has set stays."""

Stream = int | IO[bytes] | None
"""A file, or one of subprocess's constants."""


def set_environment() -> None:
    """Make this process compute as every process of the studio does, and ask no proxy for this machine.

    Called before torch, and anything that uses the network, is imported.
    """
    for name, value in COMPUTING.items():
        os.environ.setdefault(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host.strip()]
        os.environ[name] = ",".join([*hosts, *(host for host in THIS_MACHINE if host not in hosts)])


def passed_on(name: str) -> bool:
    """Whether a child process gets this variable of our environment."""
    capitals = name.upper()
    if TOKEN.search(name):
        return False
    return capitals in PASSED_ON or capitals in PROXIES or capitals.startswith(PASSED_ON_PREFIXES)


def spawn(
    arguments: list[str],
    module: str = "ksh_studio.cli.main",
    extra_environment: Mapping[str, str] = MappingProxyType({}),
    *,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
) -> subprocess.Popen[bytes]:
    """Run `studio.py`, or another module, with these arguments in a child that goes on when this process ends.

    extra_environment: beside what is passed on of our own, such as the tokens of `tokens_for`.
    """
    environment = {name: value for name, value in os.environ.items() if passed_on(name)}
    environment |= {name: os.environ.get(name, value) for name, value in COMPUTING.items()}
    environment |= {
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(ROOT),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    environment |= extra_environment
    if sys.platform == "win32":
        flags, new_session = subprocess.CREATE_NEW_PROCESS_GROUP, False
    else:
        flags, new_session = 0, True
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        close_fds=True,
        creationflags=flags,
        start_new_session=new_session,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )
