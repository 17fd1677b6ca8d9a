"""What a process that decodes pictures can no longer do."""

import json
import os
import subprocess
import sys

import pytest

from ksh_studio import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits")
PROGRAM = """
import json, os, socket, sys
from ksh_studio.drawings.sandbox import enter_sandbox

def refused(action):
    try:
        action()
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return None

target, port = sys.argv[1], int(sys.argv[2])
written = open(target, "wb")
root = os.getuid() == 0  # whose processes the system does not count
enter_sandbox()

def write():
    written.write(b"x")
    written.flush()

print(json.dumps({
    "environment": dict(os.environ),
    "folder": refused(os.getcwd),
    "here": refused(lambda: open("x", "wb")),
    "write": refused(write),
    "memory": refused(lambda: bytearray(5 << 30)),
    "files": refused(lambda: [os.open("/dev/null", os.O_RDONLY) for _ in range(100)]),
    "network": refused(lambda: socket.create_connection(("127.0.0.1", port), 5)),
    "fork": "root" if root else refused(os.fork),
}), flush=True)
os._exit(0)
"""


@pytest.fixture
def left(tmp_path):
    """What a process in the sandbox can still do: the name of the error for what it can not."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        arguments = [sys.executable, "-c", PROGRAM, str(tmp_path / "file"), str(server.getsockname()[1])]
        environment = {"PATH": os.environ["PATH"], "HF_TOKEN": "canary", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
    return json.loads(done.stdout)


def test_it_has_no_environment_no_folder_and_writes_no_file(left, tmp_path):
    assert left["environment"] == {}
    assert left["folder"] and left["here"] and left["write"]
    assert (tmp_path / "file").read_bytes() == b""


def test_it_has_little_memory_few_files_and_no_children(left):
    assert left["memory"] == "MemoryError"
    assert left["files"] and left["fork"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has networks of a process's own")
def test_it_reaches_nobody_where_the_system_allows_a_network_of_its_own(left):
    allowed = subprocess.run(["unshare", "--user", "--net", "true"], capture_output=True, check=False).returncode == 0
    assert bool(left["network"]) or not allowed
