"""Who may do what: one table, which the guard around every handler and the routes of files look up."""

from typing import Literal

Mode = Literal["local", "share", "space"]
"""How the studio is open: on this machine, over a share link, or as a Space."""
Role = Literal["owner", "guest", "visitor"]
"""The artist; whoever comes over a share link; whoever comes to a Space."""
Action = Literal[
    "look", "generate", "download_picture", "caption", "edit_captions", "import", "export", "stop_captioning",
    "create_project", "train", "download_lora", "delete_project", "backup", "restore", "settings", "server_path",
    "model_id", "open_folder", "read_log", "publish",
]  # fmt: skip

ANYBODY: frozenset[Role] = frozenset({"owner", "guest", "visitor"})

OWN_WORKSPACE: frozenset[Role] = frozenset({"owner", "visitor"})

OWNER: frozenset[Role] = frozenset({"owner"})

ALLOWED: dict[Action, frozenset[Role]] = {
    "look": ANYBODY,
    "generate": ANYBODY,
    "download_picture": ANYBODY,
    "caption": OWN_WORKSPACE,
    "edit_captions": OWN_WORKSPACE,
    "import": OWN_WORKSPACE,
    "export": OWN_WORKSPACE,
    "stop_captioning": OWN_WORKSPACE,
    "create_project": OWN_WORKSPACE,
    "train": OWNER,
    "download_lora": OWNER,
    "delete_project": OWNER,
    "backup": OWNER,
    "restore": OWNER,
    "settings": OWNER,
    "server_path": OWNER,
    "model_id": OWNER,
    "open_folder": OWNER,
    "read_log": OWNER,
    "publish": OWNER,
}
