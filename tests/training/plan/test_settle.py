import pytest

from ksh_studio.config import SettledTraining, TrainConfig
from ksh_studio.errors import StudioError, validated
from ksh_studio.models.registry import ANYTHING, BaseEntry, base_entry
from ksh_studio.presets import TRAIN_PRESETS
from ksh_studio.training.plan.settle import per_step, resolve

POCKET_LIKE = BaseEntry(
    "small", "Small", "/x", "folder", native_size=128, bucket_step=16, max_size=512,
    training={"rank": 32, "lora_alpha": 32, "learning_rate": 0.004, "train_batch_size": 8, "target_modules": "all",
              "max_train_steps": 600, "validation_steps": 200},
)  # fmt: skip

EFFORTS = ("quick", "balanced", "thorough")


@pytest.mark.parametrize(
    ("drawings", "rank", "rate", "dropout", "steps"),
    [(20, 16, 3e-4, 0.0, 1000), (40, 16, 3e-4, 0.05, 1667), (50, 32, 2e-4, 0.05, 2000), (200, 32, 2e-4, 0.1, 3500),
     (1000, 32, 1e-4, 0.1, 6000), (9000, 32, 1e-4, 0.1, 12_000)],
)  # fmt: skip
def test_open_settings_follow_the_number_of_drawings(drawings, rank, rate, dropout, steps):
    config = resolve(TrainConfig(), ANYTHING, drawings)
    assert (config.rank, config.lora_alpha, config.learning_rate) == (rank, rank / 2, rate)
    assert (config.caption_dropout, config.max_train_steps) == (dropout, steps)
    assert (config.train_batch_size, config.resolution, config.clip_skip) == (4, 512, 2)
    assert (config.target_modules, config.base_model) == ("transformer", "anything-v5")
    assert config.lr_warmup_steps == round(steps / 20)
    assert config.checkpointing_steps == config.validation_steps == round(steps / 10)


def test_nothing_stays_open_but_what_means_off():
    config = resolve(TrainConfig(snr_gamma=None), ANYTHING, 40)
    assert type(config) is SettledTraining
    assert [name for name, value in config if value is None] == ["snr_gamma"]
    assert resolve(config, ANYTHING, 40) == config


def test_a_job_file_holds_the_same_keys_in_the_same_order_and_none_of_them_open():
    settings = resolve(TrainConfig(), ANYTHING, 40).model_dump(mode="json")
    assert list(settings) == list(TrainConfig().model_dump(mode="json"))
    assert validated(SettledTraining, settings) == resolve(TrainConfig(), ANYTHING, 40)
    optional = {name for name, value in TrainConfig() if value is None}
    assert optional and all(settings[name] is not None for name in optional)
    for name in (*optional, "base_model"):
        with pytest.raises(StudioError):
            validated(SettledTraining, settings | {name: "" if name == "base_model" else None})


@pytest.mark.parametrize("values", [{"rank": 257}, {"resolution": 63}, {"validation_share": 0.6}, {"lora_alpha": 0}])
def test_settled_settings_keep_the_bounds_of_the_open_ones(values):
    (name,) = values
    with pytest.raises(StudioError, match=TrainConfig.model_fields[name].title):
        validated(SettledTraining, resolve(TrainConfig(), ANYTHING, 40).model_dump() | values)


def test_the_base_models_own_values_come_before_the_table_and_the_artists_before_both():
    config = resolve(TrainConfig(), POCKET_LIKE, 40)
    assert (config.rank, config.lora_alpha, config.learning_rate, config.train_batch_size) == (32, 32.0, 0.004, 8)
    assert (config.target_modules, config.max_train_steps, config.validation_steps) == ("all", 600, 200)
    assert (config.checkpointing_steps, config.resolution) == (60, 128)
    config = resolve(TrainConfig(rank=4, target_modules="attention", max_train_steps=50), POCKET_LIKE, 40)
    assert (config.rank, config.lora_alpha, config.target_modules, config.max_train_steps) == (4, 2.0, "attention", 50)


def test_a_quick_training_shows_as_many_steps_as_a_balanced_one():
    pocket = base_entry("pocket")
    quick, balanced, thorough = (resolve(TrainConfig(effort=effort), pocket, 40) for effort in EFFORTS)
    assert (quick.max_train_steps, quick.validation_steps, quick.checkpointing_steps) == (120, 30, 30)
    assert (balanced.max_train_steps, balanced.validation_steps, balanced.checkpointing_steps) == (300, 75, 75)
    assert (thorough.max_train_steps, thorough.validation_steps) == (600, 75)
    typed = resolve(TrainConfig(effort="quick", max_train_steps=300), pocket, 40)
    assert (typed.validation_steps, typed.checkpointing_steps) == (75, 75)
    assert resolve(TrainConfig(effort="quick", validation_steps=7), pocket, 40).validation_steps == 7


def test_the_original_is_twenty_epochs_of_single_drawings():
    config = resolve(TrainConfig(**TRAIN_PRESETS["original"]), POCKET_LIKE, 40)
    assert (config.max_train_steps, config.num_train_epochs, config.train_batch_size) == (800, 20, 1)
    assert (config.rank, config.lora_alpha, config.target_modules) == (4, 4.0, "attention")
    assert (config.lr_warmup_steps, config.checkpointing_steps, config.random_flip) == (0, 4000, True)
    assert (config.snr_gamma, config.ema_decay, config.caption_dropout) == (None, 0.0, 0.0)


@pytest.mark.parametrize(
    ("effort", "steps", "epochs"), [("quick", 240, 53), ("balanced", 600, 133), ("thorough", 1200, 267)]
)
def test_an_effort_is_a_share_of_the_usual_steps_and_says_its_epochs(effort, steps, epochs):
    config = resolve(TrainConfig(**TRAIN_PRESETS[effort]), POCKET_LIKE, 40)
    assert (config.effort, config.max_train_steps, config.num_train_epochs) == (effort, steps, epochs)
    assert config.lr_warmup_steps == steps // 20 and config.checkpointing_steps == steps // 10
    assert resolve(config, POCKET_LIKE, 40) == config
    assert resolve(TrainConfig(effort=effort, max_train_steps=7), POCKET_LIKE, 40).max_train_steps == 7


@pytest.mark.parametrize(("drawings", "share"), [(1, 0.0), (19, 0.0), (20, 0.1), (5000, 0.1)])
def test_a_tenth_is_held_out_from_twenty_drawings_on(drawings, share):
    assert resolve(TrainConfig(), ANYTHING, drawings).validation_share == share
    assert resolve(TrainConfig(validation_share=0.3), ANYTHING, drawings).validation_share == 0.3
    assert resolve(TrainConfig(validation_share=0.0), ANYTHING, drawings).validation_share == 0.0


def test_steps_come_from_the_epochs_and_whole_batches():
    config = resolve(TrainConfig(num_train_epochs=3, train_batch_size=2, gradient_accumulation_steps=4), ANYTHING, 33)
    assert config.max_train_steps == 3 * 4  # 3 of the 33 are held out
    assert resolve(TrainConfig(num_train_epochs=3, max_train_steps=7), ANYTHING, 33).max_train_steps == 7


def test_several_devices_see_as_many_times_the_drawings():
    values = {"num_train_epochs": 3, "train_batch_size": 2, "num_processes": 4, "validation_share": 0.0}
    two = resolve(TrainConfig(**values), ANYTHING, 33)
    assert two.max_train_steps == 3 * 5 and per_step(two) == 8
    steps = [resolve(TrainConfig(num_processes=count), ANYTHING, 200).max_train_steps for count in (1, 2)]
    assert steps == [3500, 1750]


@pytest.mark.parametrize(
    ("values", "drawings", "sentence"),
    [
        ({}, 0, "no drawing"),
        ({"resolution": 64}, 5, "from 256 to 2048"),
        ({"resolution": 500}, 5, "multiple of 64, for example 448"),
        ({"num_train_epochs": 10_000}, 5000, "1000000"),
        ({"max_train_steps": 2, "lr_warmup_steps": 100}, 5, "rise for 100 steps, but this training has 2"),
        ({"num_train_epochs": 1, "lr_warmup_steps": 100}, 5, "rise for 100 steps, but this training has 2"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(values, drawings, sentence):
    with pytest.raises(StudioError, match=sentence):
        resolve(TrainConfig(**values), ANYTHING, drawings)
