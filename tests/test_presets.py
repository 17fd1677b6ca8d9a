"""The presets "Original" against what the scripts did that this studio replaces, option by option."""

import re

import pytest

from ksh_studio.config import DEFAULT_TRIGGER, CaptionConfig, TrainConfig, Trigger
from ksh_studio.locales import sentences
from ksh_studio.models.registry import ANYTHING, BLIP2_OPT, BLIP2_T5, BaseEntry, base_entry
from ksh_studio.presets import CAPTION_PRESETS, TRAIN_PRESETS
from ksh_studio.training.plan.preset import fitted_preset
from ksh_studio.training.plan.settle import resolve

# `accelerate launch train_text_to_image_lora.py` of diffusers, with these options.
TYPED = {
    "pretrained_model_name_or_path": "stablediffusionapi/anything-v5",
    "dataset_name": "HLife15/drawing",
    "caption_column": "text",
    "resolution": 512,
    "random_flip": True,
    "train_batch_size": 1,
    "num_train_epochs": 20,
    "checkpointing_steps": 4000,
    "learning_rate": 1e-4,
    "lr_scheduler": "cosine",
    "lr_warmup_steps": 0,
    "seed": 5508,
    "validation_prompt": "drawn by KSH drawing style, an anime girl, blonde hair, green eyes, school uniform, smile, "
    "sunshine, outside, park, river, blue sky",
    "report_to": "wandb",
}
# What that script does where nothing is typed; the last ones it does not know at all.
UNTYPED = {
    "center_crop": True,
    "gradient_accumulation_steps": 1,
    "mixed_precision": "no",
    "rank": 4,
    "lora_alpha": 4,
    "target_modules": "attention",
    "use_8bit_adam": False,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_weight_decay": 1e-2,
    "adam_epsilon": 1e-8,
    "max_grad_norm": 1.0,
    "snr_gamma": None,
    "noise_offset": 0,
    "train_text_encoder": False,
    "clip_skip": None,
    "ema_decay": None,
    "validation_share": 0,
    "caption_dropout": 0,
    "shuffle_tags": False,
    "adapter": "lora",
}
ORIGINAL = TYPED | UNTYPED

SAME = (
    "resolution", "random_flip", "train_batch_size", "num_train_epochs", "checkpointing_steps", "learning_rate",
    "lr_scheduler", "lr_warmup_steps", "seed", "gradient_accumulation_steps", "mixed_precision", "rank", "lora_alpha",
    "target_modules", "adam_beta1", "adam_beta2", "adam_weight_decay", "max_grad_norm", "snr_gamma", "noise_offset",
    "train_text_encoder", "validation_share", "caption_dropout", "shuffle_tags", "adapter",
)  # fmt: skip
"""Options that have the same name and the same values here."""
OTHERWISE = {
    "center_crop": ("crop", {True: "square"}),
    "validation_prompt": ("validation_prompts", {TYPED["validation_prompt"]: (TYPED["validation_prompt"],)}),
    "use_8bit_adam": ("optimizer", {False: "adamw"}),
    "clip_skip": ("clip_skip", {None: 1}),  # the last layer
    "ema_decay": ("ema_decay", {None: 0.0}),
}
"""Options whose setting here has another name or other values: (setting, the original's value → ours)."""
ELSEWHERE = {
    "pretrained_model_name_or_path": "the project's base model; Anything V5 where there is a GPU",
    "report_to": "`report_to`, off unless chosen, because it sends data out",
    "adam_epsilon": "PyTorch's own default, which is the same",
    "dataset_name": "import from the Hub comes with the captions issue",
    "caption_column": "import from the Hub comes with the captions issue",
}
"""Options that the preset does not set, and why."""


def test_every_option_of_the_original_has_its_place():
    listed = [*SAME, *OTHERWISE, *ELSEWHERE]
    assert sorted(listed) == sorted(ORIGINAL)


def test_the_preset_sets_what_the_table_shows_and_nothing_else():
    counterparts = {*SAME, *(name for name, _ in OTHERWISE.values())}
    assert set(TRAIN_PRESETS["original"]) == counterparts


@pytest.mark.parametrize("option", [*SAME, *OTHERWISE])
def test_the_original_trains_with_the_scripts_value_of(option):
    name, values = OTHERWISE.get(option, (option, {}))
    value = getattr(TrainConfig(**TRAIN_PRESETS["original"]), name)
    assert value == values.get(ORIGINAL[option], ORIGINAL[option])


def test_on_its_own_base_model_nothing_of_the_original_is_changed():
    assert base_entry("anything-v5").source == TYPED["pretrained_model_name_or_path"]
    fitted = fitted_preset("original", ANYTHING)
    assert (fitted.settings, fitted.changes) == (TRAIN_PRESETS["original"], ())
    config = resolve(TrainConfig(**fitted.settings), ANYTHING, 4500)
    assert config.max_train_steps == 90_000
    assert {name: getattr(config, name) for name in TRAIN_PRESETS["original"]} == TRAIN_PRESETS["original"]


def test_the_originals_optimiser_has_the_scripts_epsilon():
    torch = pytest.importorskip("torch")
    assert torch.optim.AdamW([torch.zeros(1)]).defaults["eps"] == UNTYPED["adam_epsilon"]


def test_nothing_is_sent_out_unless_chosen_and_the_preset_says_so():
    assert TrainConfig(**TRAIN_PRESETS["original"]).report_to == "none"
    assert "wandb" in TrainConfig.model_fields["report_to"].annotation.__args__
    for language in ("en", "ko"):
        said = sentences(language)
        assert "Weights & Biases" in said["train_tab.preset_info"]
        assert said["settings.train.report_to"] in said["train_tab.preset_info"]


@pytest.mark.parametrize("size", [128, 768, 1024])
def test_on_a_base_model_of_another_size_the_preset_leaves_the_size_to_it_and_says_so(size):
    entry = BaseEntry("other", "Other", "/x", "folder", native_size=size)
    fitted = fitted_preset("original", entry)
    assert resolve(TrainConfig(**fitted.settings), entry, 40).resolution == size
    assert {**fitted.settings, "resolution": 512} == TRAIN_PRESETS["original"]
    [change] = fitted.changes
    for language in ("en", "ko"):
        assert all(word in change.text(language) for word in ("512", str(size), "Other"))
    for name in ("quick", "balanced", "thorough"):
        assert fitted_preset(name, entry).changes == ()


# Stage 1, by version: what the scripts gave to the captioner.
CAPTIONS = {
    "original": {
        "model": "Salesforce/blip2-opt-2.7b",
        "prompt": "A painting of",
        "do_sample": True,
        "temperature": 0.8,
        "top_p": 0.9,
        "repetition_penalty": 1.2,
        "max_new_tokens": 600,
        "min_length": 0,
        "num_beams": 1,
        "no_repeat_ngram_size": 0,
        "picture": "squashed",
        "removed": "none",
    },
    "original_later": {
        "model": "Salesforce/blip2-flan-t5-xl",
        "prompt": "Describe this image's appearance in a detailed and natural-sounding sentence.",
        "do_sample": True,
        "temperature": 0.5,
        "top_p": 0.9,
        "repetition_penalty": 2.0,
        "max_new_tokens": 80,
        "min_length": 10,
        "num_beams": 1,
        "no_repeat_ngram_size": 0,
        "picture": "squashed",
        "removed": "commas",
    },
}
CAPTION_OPTIONS = {
    "model": ("captioner", {each.source: each.name for each in (BLIP2_OPT, BLIP2_T5)}),
    "min_length": ("min_new_tokens", {}),
    "picture": ("picture_shape", {"squashed": "squash"}),
    "removed": ("cleaning", {}),
    "max_new_tokens": ("max_new_tokens", {600: 60}),  # deliberately; the page says so
}


@pytest.mark.parametrize(("version", "option"), [(name, key) for name, table in CAPTIONS.items() for key in table])
def test_the_original_captions_with_the_scripts(version, option):
    name, values = CAPTION_OPTIONS.get(option, (option, {}))
    wanted = CAPTIONS[version][option]
    assert getattr(CaptionConfig(**CAPTION_PRESETS[version]), name) == values.get(wanted, wanted)


@pytest.mark.parametrize("version", CAPTIONS)
def test_a_caption_preset_sets_what_the_table_shows_and_nothing_else(version):
    assert set(CAPTION_PRESETS[version]) == {CAPTION_OPTIONS.get(key, (key,))[0] for key in CAPTIONS[version]}


def test_the_shorter_captions_of_the_first_version_are_said_on_the_page():
    limit = CAPTION_PRESETS["original"]["max_new_tokens"]
    for language in ("en", "ko"):
        numbers = re.findall(r"[\d,]+\d", sentences(language)["caption_tab.preset_info"])
        assert {str(limit), "2,000"} <= set(numbers)


def test_the_trigger_stands_at_the_end_after_a_space_as_in_the_scripts():
    assert DEFAULT_TRIGGER == "drawn by KSH drawing style"
    assert Trigger().apply("a girl smiling") == "a girl smiling drawn by KSH drawing style"
