"""Child processes of the studio: no shell, a session of their own, and only the environment that they need.

Every process of the studio computes the same numbers, whoever started it: what decides how sums are rounded is set in
one place, here, and passed on to children.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import IO

from ksh_studio import ROOT

# What a child gets of our environment: no tokens, but how the Hub is reached and where its cache is.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "USERPROFILE", "LOCALAPPDATA", "APPDATA",
             "SYSTEMROOT", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "XDG_CACHE_HOME",
             "XDG_DATA_HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
             "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "KSH_WORKSPACE", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT",
             "HF_HUB_OFFLINE", "MKL_NUM_THREADS", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")  # fmt: skip
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


def set_computing_environment() -> None:
    """Make this process compute as every process of the studio does. Called before torch is imported."""
    for name, value in COMPUTING.items():
        os.environ.setdefault(name, value)


def spawn(
    arguments: list[str],
    module: str = "ksh_studio.cli.main",
    extra_environment: Mapping[str, str] = MappingProxyType({}),
    *,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
) -> subprocess.Popen[bytes]:
    """Run `studio.py`, or another module, with these arguments in a child that goes on when this process ends."""
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
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
