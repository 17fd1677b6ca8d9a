"""A stand-in for the Hugging Face Hub: folders as repositories, through the part of its API that we use."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

COMMIT = "c" * 40


@contextmanager
def hub(repositories):
    """Serve `repositories`, folders by hub id; yields (address, paths asked for)."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.repositories, server.asked = repositories, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(body=True)

    def do_HEAD(self):
        self.answer(body=False)

    def log_message(self, *arguments):
        pass

    def answer(self, body):
        path = unquote(urlparse(self.path).path)
        self.server.asked.append(path)
        for name, folder in self.server.repositories.items():
            if path in (f"/api/models/{name}", f"/api/models/{name}/revision/main"):
                siblings = [{"rfilename": file} for file in _names(folder)]
                return self.json({"id": name, "sha": COMMIT, "siblings": siblings}, body)
            if path.startswith(f"/api/models/{name}/tree/"):
                return self.json([_entry(folder, file) for file in _names(folder)], body)
            if path.startswith(f"/{name}/resolve/"):
                return self.file(folder, path.split("/resolve/", 1)[1].partition("/")[2], body)
        return self.missing("RepoNotFound")

    def file(self, folder, name, body):
        if name in _names(folder):
            self.send((folder / name).read_bytes(), "application/octet-stream", body)
        else:
            self.missing("EntryNotFound")

    def json(self, value, body):
        self.send(json.dumps(value).encode(), "application/json", body)

    def send(self, data, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.end_headers()
        if body:
            self.wfile.write(data)

    def missing(self, code):
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _entry(folder, name):
    data = (folder / name).read_bytes()
    entry = {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
    if name.endswith(".safetensors"):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 100}
    return entry
