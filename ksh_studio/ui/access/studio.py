"""What every tab gets: the workspace, the worker that draws, and who may log in."""

from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock

from ksh_studio.generation.worker.handle import Worker
from ksh_studio.jobs.history import JobHistories
from ksh_studio.models.device import DeviceInfo, probe
from ksh_studio.project.workspace import Workspace
from ksh_studio.ui.access.roles import Mode


@dataclass
class Turn:
    """Whose picture is being drawn: only they, or the owner, may stop it."""

    key: str = ""


@dataclass(frozen=True)
class Studio:
    """One running studio: what `build_app` gets and passes to every tab."""

    workspace: Workspace
    mode: Mode
    worker: Worker
    passwords: tuple[tuple[str, str], ...] = ()
    """(user name, password) of the accounts; empty: nobody logs in."""

    histories: JobHistories = field(default_factory=JobHistories, repr=False, compare=False)
    """The jobs somebody is looking at, read once for all viewers."""
    turn: Turn = field(default_factory=Turn, repr=False, compare=False)
    probing: Lock = field(default_factory=Lock, repr=False, compare=False)

    @cached_property
    def _device(self) -> DeviceInfo:
        return probe()

    def device(self) -> DeviceInfo:
        """What this machine computes with; looked for in a child process, once, seconds at the first call."""
        with self.probing:
            return self._device
