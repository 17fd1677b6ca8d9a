import re
from pathlib import Path

import yaml
from packaging.requirements import Requirement

from ksh_studio.cli.settings_table import settings_table

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def requirements() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return {found.name: found for found in (Requirement(line) for line in lines if line.strip())}


def test_the_settings_table_is_the_settings():
    shown = README.split("<!-- settings -->")[1].split("<!-- end of settings -->")[0]
    assert shown.strip() == settings_table().strip()


def test_the_front_matter_makes_a_space():
    front = yaml.safe_load(README.split("---")[1])
    assert front["sdk"] == "gradio"
    assert (ROOT / front["app_file"]).is_file()
    assert requirements()["gradio"].specifier.contains(front["sdk_version"])
    assert len(front["short_description"]) <= 60


def test_every_picture_of_the_readme_is_there():
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / path).is_file(), path


def test_requirements_keep_the_floors_of_known_faults_and_the_torch_of_zerogpu():
    found = requirements()
    assert all(found["torch"].specifier.contains(version) for version in ("2.10.0", "2.11.0", "2.13.0"))
    assert not found["torch"].specifier.contains("2.9.1")
    assert not found["gradio"].specifier.contains("6.30.0")
    assert not found["pillow"].specifier.contains("12.2.0")
    # 5.24 asks for peft 0.22, which diffusers of this line was never tried with.
    assert not found["transformers"].specifier.contains("5.24.0")
    assert "torchvision" not in found
    assert str(found["xformers"].marker) == 'sys_platform == "linux" and platform_machine == "x86_64"'


def test_ci_runs_the_readmes_own_test_command():
    script = (ROOT / ".ci" / "run").read_text()
    assert "<!-- test command -->" in script
    block = README.split("<!-- test command -->")[1].split("```")[1]
    assert block.startswith("bash\n")
    assert "-m pytest" in block
