import subprocess
import sys
from collections import Counter

import gradio as gr

from ksh_studio.config import CaptionConfig, GenerateConfig, TrainConfig
from ksh_studio.ui.app import build_app
from ksh_studio.ui.train import settings as train_settings

PUBLIC = {"caption", "train", "generate"}
BUTTONS = {
    "caption-start": "caption",
    "caption-stop": "stop_captioning",
    "caption-undo": "undo_caption_change",
    "import-read": "import_folder",
    "import-stop": "stop_import",
    "import-resume": "resume_import",
    "caption-next": "open_train",
    "export-start": "export_drawings",
    "export-stop": "stop_export",
    "export-resume": "resume_export",
    "train-start": "start",
    "train-add-to-queue": "queue",
    "train-check": "check",
    "train-pause": "pause",
    "train-resume": "resume",
    "train-stop": "stop",
    "train-end": "end",
    "train-preview-now": "preview_now",
    "train-use-lora": "use_lora",
    "train-next": "use_lora",
    "train-open-folder": "open_job_folder",
    "train-on": "train_on",
    "train-on-this": "train_on",
    "train-use-settings": "use_settings",
    "train-merge": "merge",
    "publish-list": "list_files",
    "publish-send": "publish",
    "generate-go": "generate",
    "pause-and-draw": "pause_and_draw",
    "preview-instead": "preview_instead",
    "generate-stop": "stop_generating",
    "insert-trigger": "insert_trigger",
    "reuse-recipe": "reuse_recipe",
    "reuse-seed": "recipe_seed",
    "generate-open-folder": "open_pictures_folder",
}
"""The handler of each button on the three tabs, by the button's name in the browser."""


def test_the_page_is_built_without_torch_and_without_work():
    code = (
        "import sys, pathlib, tempfile\n"
        "from ksh_studio.ui.access.visit import Studio\nfrom ksh_studio.ui.app import build_app\n"
        "from ksh_studio.generation.worker.handle import Worker\nfrom ksh_studio.project.workspace import Workspace\n"
        "w = Workspace(pathlib.Path(tempfile.mkdtemp()))\nw.prepare()\n"
        "build_app(Studio(w, 'local', Worker(w)))\n"
        "print(sorted({'torch', 'diffusers', 'transformers', 'peft'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_three_tabs_and_only_three_public_names(studio):
    page = build_app(studio)
    assert [block.id for block in page.blocks.values() if isinstance(block, gr.Tab)] == ["caption", "train", "generate"]
    public = [fn for fn in page.fns.values() if fn.api_visibility == "public"]
    assert {fn.api_name for fn in public} == PUBLIC and len(public) == 3


def test_every_handler_passes_the_guard(studio):
    page = build_app(studio)
    unguarded = [fn.name for fn in page.fns.values() if fn.fn is not None and not hasattr(fn.fn, "action")]
    assert unguarded == []
    served = [fn for block in page.blocks.values() for fn in getattr(block, "server_fns", [])]
    calls = [fn for fn in served if fn.__name__.startswith("ksh_")]
    assert {fn.__name__ for fn in calls} == {"ksh_rows", "ksh_save", "ksh_import", "ksh_open_forms", "ksh_keep_form"}


def test_every_button_of_the_tabs_calls_its_own_handler(studio):
    page = build_app(studio)
    tabs = [block for block in page.blocks.values() if isinstance(block, gr.Tab)]
    buttons = {block._id: block.elem_id for tab in tabs for block in inside(tab) if isinstance(block, gr.Button)}
    handlers: dict[str, list[str]] = {name: [] for name in buttons.values()}
    for fn in page.fns.values():
        for block, event in fn.targets:
            if block in buttons and event == "click" and fn.fn is not None:
                handlers[buttons[block]].append(fn.name)
    assert handlers == {button: [handler] for button, handler in BUTTONS.items()}


def inside(block):
    for child in getattr(block, "children", []):
        yield child
        yield from inside(child)


def test_no_two_parts_share_a_name(studio):
    names = [block.elem_id for block in build_app(studio).blocks.values() if getattr(block, "elem_id", None)]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_long_work_is_never_queued_and_drawing_is_one_at_a_time(studio):
    page = build_app(studio)
    named = {fn.api_name: fn for fn in page.fns.values() if fn.api_visibility == "public"}
    assert not named["train"].queue and not named["caption"].queue
    assert named["generate"].queue and named["generate"].concurrency_id == "gpu"
    assert named["generate"].concurrency_limit == 1


def test_answers_to_quick_typing_come_in_the_order_of_the_questions(studio):
    """Unqueued, the answer to an earlier key could arrive last, and stay."""
    typed = [fn for fn in build_app(studio).fns.values() if fn.name in ("show_plan", "explain_prompts")]
    assert len(typed) == 3
    assert all(fn.queue and fn.concurrency_limit == 1 for fn in typed)
    assert len({fn.concurrency_id for fn in typed if fn.name == "show_plan"}) == 1


def test_every_setting_is_on_the_page(studio):
    page = build_app(studio)
    assert set(train_settings.FORM) | {"base_model"} == set(TrainConfig.model_fields)
    [generate] = [fn for fn in page.fns.values() if fn.api_name == "generate"]
    assert set(generate.input_keyword_names) | {"base_model"} == set(GenerateConfig.model_fields)
    [caption] = [fn for fn in page.fns.values() if fn.api_name == "caption"]
    assert set(caption.input_keyword_names) == set(CaptionConfig.model_fields)
