"""Publishing against a stand-in for the Hub that speaks the upload part of its API."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from PIL import Image, PngImagePlugin

from ksh_studio.config import TrainConfig
from ksh_studio.errors import StudioError
from ksh_studio.events import Preview, Started, to_line
from ksh_studio.jobs.start import create_job
from ksh_studio.lora import publishing
from ksh_studio.lora.file.header import read_header
from ksh_studio.lora.file.sidecar import write_sidecar
from ksh_studio.lora.publishing import plan_publication, publish
from tests.tiny import tiny_lora_file

TOKEN = "hf_not_a_real_token"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.answer(
            self.server.status, {"id": "anna/style", "sha": "c" * 40, "private": self.server.private, "siblings": []}
        )

    def do_POST(self):
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size) if size else self.chunks()
        self.server.requests.append((self.path.split("?")[0], self.headers.get("Authorization"), body))
        if self.server.status != 200:
            return self.answer(self.server.status, {"error": "no"})
        if self.path.endswith("/repos/create"):
            return self.answer(200, {"url": f"{self.server.address}/anna/style", "name": "anna/style"})
        if "/preupload/" in self.path:
            files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                     for file in json.loads(body)["files"]]  # fmt: skip
            return self.answer(200, {"files": files})
        if "/commit/" in self.path:
            url = f"{self.server.address}/anna/style/commit/{'d' * 40}"
            return self.answer(200, {"success": True, "commitOid": "d" * 40, "commitUrl": url})
        return self.answer(200, {"errors": [], "warnings": []})

    def chunks(self):
        """A body sent in chunks."""
        body = b""
        while count := int(self.rfile.readline(), 16):
            body += self.rfile.read(count)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def stand_in_for_the_hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.requests, server.status, server.private = [], 200, True
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server(monkeypatch):
    from huggingface_hub import HfApi

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with stand_in_for_the_hub() as server:
        monkeypatch.setattr("huggingface_hub.get_token", lambda: TOKEN)
        monkeypatch.setattr("huggingface_hub.HfApi", lambda: HfApi(endpoint=server.address, token=TOKEN))
        yield server


@pytest.fixture
def lora(project):
    """A LoRA of step 500 with its card, its picture and the previews of its step."""
    job = create_job(project, "train", TrainConfig(base_model="anything-v5", name="ksh"))
    path = tiny_lora_file(job.loras / "ksh-000500.safetensors")
    _add_metadata(path, {"ss_steps": "500", "modelspec.trigger_phrase": "drawn by: KSH", "modelspec.title": "ksh"})
    lines = [Started(stage="train", total=500)]
    for n, (step, asked) in enumerate([(0, False), (500, False), (500, True), (500, False)], start=1):
        picture = job.previews / f"{step:06d}-{n}.png"
        picture.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (n * 20, 0, 0)).save(picture)
        lines.append(
            Preview(step=step, prompt=f'prompt "{n}": a girl', seed=1, path=project.relative(picture), asked=asked)
        )
    job.events_file.write_bytes(b"".join(to_line(line) for line in lines))
    write_sidecar(read_header(path), job.previews / "000500-2.png")
    return path


def _add_metadata(path, metadata):
    from safetensors.torch import load_file, save_file

    save_file(load_file(path), path, read_header(path).metadata | metadata)


def front_matter(card):
    return yaml.safe_load(card.split("---")[1])


def test_the_plan_has_every_file_and_uses_no_network(workspace, lora, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *arguments: pytest.fail("the network was used"))
    publication = plan_publication(workspace, lora, "anna/style")
    names = ["README.md", "ksh-000500.safetensors", "ksh-000500.json", "images/1.png", "images/2.png"]
    assert [file.name for file in publication.files] == names
    assert publication.private
    assert publication.bytes == sum(file.bytes for file in publication.files) > lora.stat().st_size
    matter = front_matter(publication.card)
    assert matter["base_model"] == "stablediffusionapi/anything-v5"
    assert matter["instance_prompt"] == "drawn by: KSH" and "lora" in matter["tags"] and "license" not in matter
    assert matter["widget"] == [
        {"text": 'prompt "2": a girl', "output": {"url": "images/1.png"}},
        {"text": 'prompt "4": a girl', "output": {"url": "images/2.png"}},
    ]
    assert (
        front_matter(plan_publication(workspace, lora, "anna/style", licence="cc-by-4.0").card)["license"]
        == "cc-by-4.0"
    )
    assert str(workspace.root) not in publication.card


def test_a_base_of_this_machine_is_not_named_by_its_path(workspace, project, tmp_path, lora):
    base_folder = tmp_path / "base"
    (base_folder / "unet").mkdir(parents=True)
    job = create_job(project, "train", TrainConfig(base_model=str(base_folder)))
    copy = job.loras / lora.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(lora.read_bytes())
    card = plan_publication(workspace, copy, "anna/style").card
    assert str(base_folder) not in card and "base_model" not in front_matter(card)


def test_a_picture_that_holds_the_path_of_the_base_is_left_out(workspace, lora):
    """Previews of an older studio do, in their recipe."""
    folder = lora.parent.parent
    file = json.loads((folder / "job.json").read_text())
    file["settings"]["base_model"] = "/home/ann/모델"
    (folder / "job.json").write_text(json.dumps(file))
    picture, text = folder / "previews" / "000500-2.png", PngImagePlugin.PngInfo()
    text.add_itxt("ksh_studio", json.dumps({"config": {"base_model": "/home/ann/모델"}}, ensure_ascii=False))
    Image.new("RGB", (8, 8)).save(picture, pnginfo=text)
    publication = plan_publication(workspace, lora, "anna/style")
    assert [file.source.name for file in publication.files if file.name.startswith("images/")] == ["000500-4.png"]


def test_exactly_what_was_planned_is_uploaded_private(workspace, lora, server):
    publication = plan_publication(workspace, lora, "anna/style")
    assert publish(publication) == f"{server.address}/anna/style"
    paths = [path for path, _, _ in server.requests]
    assert paths[0] == "/api/repos/create" and paths[-1].endswith("/commit/main")
    created = json.loads(server.requests[0][2])
    assert created.get("private") is True or created.get("visibility") == "private"
    lines = [json.loads(line) for line in server.requests[-1][2].splitlines()]
    sent = {
        line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"
    }
    assert sorted(sent) == sorted(file.name for file in publication.files)
    assert sent["README.md"].decode() == publication.card
    assert all(sent[file.name] == file.source.read_bytes() for file in publication.files if file.source)
    assert {token for _, token, _ in server.requests} == {f"Bearer {TOKEN}"}
    assert not any(TOKEN.encode() in body for _, _, body in server.requests)


def test_a_public_repository_gets_nothing_that_should_be_private(workspace, lora, server):
    server.private = False
    with pytest.raises(StudioError, match="already there and public"):
        publish(plan_publication(workspace, lora, "anna/style"))
    assert not any("/commit/" in path for path, _, _ in server.requests)
    publish(plan_publication(workspace, lora, "anna/style", private=False))
    assert any("/commit/" in path for path, _, _ in server.requests)


def test_a_file_that_changed_after_it_was_planned_is_not_uploaded(workspace, lora, server):
    publication = plan_publication(workspace, lora, "anna/style")
    lora.with_suffix(".json").write_text("{}")
    with pytest.raises(StudioError, match="has changed"):
        publish(publication)
    assert server.requests == []


@pytest.mark.parametrize(("status", "sentence"), [(401, "does not let you"), (403, "does not let you"), (422, "422")])
def test_a_refusal_is_one_sentence_without_the_token(status, sentence, workspace, lora, server, caplog):
    server.status = status
    with pytest.raises(StudioError, match=sentence) as caught:
        publish(plan_publication(workspace, lora, "anna/style"))
    assert TOKEN not in str(caught.value) and TOKEN not in caplog.text


def test_without_a_login_or_a_network_it_says_so(workspace, lora, monkeypatch):
    from huggingface_hub import HfApi

    publication = plan_publication(workspace, lora, "anna/style")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(StudioError, match="hf auth login"):
        publish(publication)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: TOKEN)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: HfApi(endpoint="http://127.0.0.1:9", token=TOKEN))
    with pytest.raises(StudioError, match="cannot be reached"):
        publish(publication)


@pytest.mark.parametrize("name", ["style", "../style", "anna/my style", "anna/style/more", "", "a" * 200 + "/x"])
def test_a_name_the_hub_does_not_take_is_refused_at_once(name, workspace, lora):
    with pytest.raises(StudioError, match="cannot be the name"):
        plan_publication(workspace, lora, name)


def test_a_type_that_diffusers_does_not_load_is_not_called_a_diffusers_model(workspace, lora):
    from safetensors.torch import save_file
    from torch import zeros

    shapes = {"hada_w1_a": (8, 2), "hada_w1_b": (2, 8), "hada_w2_a": (8, 2), "hada_w2_b": (2, 8)}
    save_file({f"lora_unet_x.{name}": zeros(shape) for name, shape in shapes.items()}, lora)
    card = plan_publication(workspace, lora, "anna/style").card
    assert "library_name" not in front_matter(card) and "load_lora_weights" not in card and "LoHa" in card


def test_no_secret_is_kept_in_the_module():
    assert not any("token" in name.lower() for name in vars(publishing))
