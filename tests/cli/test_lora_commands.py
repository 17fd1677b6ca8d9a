"""`studio.py lora …` does with files what the rooms below do, and says it in a line."""

import pytest
from safetensors.torch import load_file

from ksh_studio.cli.main import main
from tests.tiny import tiny_lora_file


@pytest.fixture
def run(workspace, capsys):
    def command(*words):
        code = main(["lora", *(str(word) for word in words), "--workspace", str(workspace.root), "--language", "en"])
        return code, capsys.readouterr()

    return command


def test_convert_and_merge(run, tmp_path):
    files = [tiny_lora_file(tmp_path / f"{n}.safetensors", seed=n) for n in range(2)]
    code, said = run("convert", files[0], tmp_path / "own.safetensors")
    assert code == 0 and "diffusers format" in said.out
    assert all(key.startswith("unet.") for key in load_file(tmp_path / "own.safetensors"))
    code, said = run("merge", f"{files[0]}=0.5", files[1], "--target", tmp_path / "both.safetensors", "--rank", 3)
    assert code == 0 and "rank 3" in said.out and (tmp_path / "both.json").is_file()
    code, said = run("merge", f"{files[0]}=half", files[1], "--target", tmp_path / "no.safetensors")
    assert code == 1 and "no file with a weight" in said.err
    code, said = run("merge", files[0], files[1], "--target", tmp_path / "no.ckpt")
    assert code == 1 and "not a .safetensors" in said.err


def test_push_shows_and_sends_nothing_without_yes(run, tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr(
        "ksh_studio.lora.publishing.publish", lambda plan: sent.append(plan) or "https://hub/anna/style"
    )
    file = tiny_lora_file(tmp_path / "style.safetensors")
    code, said = run("push", file, "anna/style")
    assert code == 0 and sent == [] and "private" in said.out
    assert "README.md" in said.out and "style.safetensors" in said.out and "Nothing was uploaded" in said.out
    code, said = run("push", file, "anna/style", "--public", "--license", "cc-by-4.0", "--yes")
    assert code == 0 and "https://hub/anna/style" in said.out and "license: cc-by-4.0" in said.out
    assert [(plan.repo_id, plan.private) for plan in sent] == [("anna/style", False)]
    code, said = run("push", file, "style")
    assert code == 1 and "cannot be the name" in said.err
