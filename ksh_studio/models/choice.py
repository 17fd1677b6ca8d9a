"""Which base model and which captioner a project uses: the one place that decides. No torch."""

from ksh_studio.models.registry import default_base, default_captioner
from ksh_studio.project.workspace import Project


def base_model_of(project: Project, device_type: str, setting: str = "") -> str:
    """The name of the base model: from the request's setting, else from the project's, else the device's default.

    device_type: "cuda", "mps" or "cpu". Raises StudioError when the project's settings cannot be read.
    """
    return setting or project.settings().base_model or default_base(device_type)


def captioner_of(project: Project, device_type: str, setting: str = "") -> str:
    """The name of the captioner, decided in the same order as by `base_model_of`."""
    return setting or project.settings().captioner or default_captioner(device_type)
