"""Every setting of every stage, once: type, bounds, default, one line of meaning, and a mark.

The page, the command line, the job file, the API and the documentation table are made from these classes, and every
list of settings from the marks (see `marks.py`). `None` is "as the base model, or the number of drawings, asks for";
a stage resolves it before it starts, so that `job.json` holds no None of that kind.
"""

from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ksh_studio.marks import Mark

MAX_PROMPT_CHARACTERS = 20_000
DEFAULT_TRIGGER = "drawn by KSH drawing style"

Sampler = Literal["Euler a", "Euler", "DPM++ 2M", "DDIM", "UniPC"]
Schedule = Literal["Automatic", "Uniform", "Karras", "Exponential", "SGM Uniform"]
Attention = Literal["sdpa", "xformers"]
ExportFormat = Literal["imagefolder", "info.csv", "txt", "kohya"]
ExportNames = Literal["original", "id"]
Prompts = Annotated[tuple[Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS)], ...], Field(max_length=1000)]


class Config(BaseModel):
    """Base of all settings: immutable, unknown names are errors, docstrings become descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


C = TypeVar("C", bound=Config)


class Trigger(Config):
    """The words that call the style, and where they stand in every caption."""

    text: str = Field(DEFAULT_TRIGGER, title="Trigger", max_length=200)
    """Words added to every caption; type them in a prompt to call your style."""
    position: Literal["end", "front"] = Field("end", title="Trigger position")
    """end: after the caption and a space, as the original; front: before it."""

    @field_validator("text")
    @classmethod
    def _one_line(cls, text: str) -> str:
        return " ".join(text.split())

    def apply(self, caption: str) -> str:
        """The caption with the trigger in its place, once, however often it stood there."""
        bare = self.strip(caption)
        if not self.text:
            return bare
        # without the comma that joined them: `strip` takes it away with the trigger
        parts = (bare.rstrip(" ,"), self.text) if self.position == "end" else (self.text, bare.lstrip(" ,"))
        return " ".join(part for part in parts if part)

    def is_called_in(self, prompt: str) -> bool:
        """Whether a prompt holds the trigger, in capitals or not; an empty trigger is in every prompt."""
        return self.text.lower() in prompt.lower()

    def strip(self, caption: str) -> str:
        """The caption without the trigger at either end, as the catalogue stores it."""
        bare, size, trigger = " ".join(caption.split()), len(self.text), self.text.lower()
        while size:
            if bare[-size:].lower() == trigger and not bare[:-size][-1:].isalnum():
                bare = bare[:-size].rstrip(" ,")
            elif bare[:size].lower() == trigger and not bare[size:][:1].isalnum():
                bare = bare[size:].lstrip(" ,")
            else:
                break
        return bare


class ProjectSettings(Config):
    """`project.json`: what belongs to one artist's project."""

    name: str = Field(title="Name", min_length=1, max_length=100)
    """Shown on the page; any script."""
    trigger: Trigger = Trigger()
    base_model: str | None = Field(None, title="Base model")
    """A listed name, the path of any .safetensors file or folder, or a Hugging Face id; None: the machine's default."""
    captioner: str | None = Field(None, title="Captioner")
    """A name of the registry, a hub id or a folder; None: the machine's default."""
    preview_prompts: Prompts = Field((), title="Preview prompts")
    """Drawn while training, at fixed seeds; empty: made from the project's own captions."""


class ImportConfig(Config):
    """Settings of an import."""

    sources: tuple[str, ...] = ()
    """Folders, zips, pictures and caption files of this machine, by their whole paths; empty: what was uploaded."""


class ExportConfig(Config):
    """Settings of an export."""

    format: ExportFormat = "imagefolder"
    """How drawings and captions are written: see `drawings.exporting`."""
    names: ExportNames = "original"
    """original: the artist's own file names, where other systems can have them; id: the drawings' ids."""
    target: str = ""
    """A folder or zip of this machine, by its whole path; empty: a zip in the job's folder, to be downloaded."""


class CaptionConfig(Config):
    """Settings of the Caption stage."""

    captioner: Annotated[str, Mark("plain")] = Field("", title="Captioner")
    """Who writes the captions: a name of the registry, a hub id or a folder; empty: the project's."""
    overwrite: Annotated[Literal["empty", "auto", "all"], Mark("plain")] = Field("empty", title="Which drawings")
    """empty: those without a caption; auto: also those a captioner wrote; all: also those a person wrote."""
    prompt: Annotated[str | None, Mark("wording")] = Field(None, title="Question to the captioner", max_length=500)
    """Text the captioner continues or answers; None: the captioner's own default."""
    batch_size: Annotated[int, Mark("wording")] = Field(4, ge=1, le=64, title="Drawings at a time")
    """Drawings captioned together; more is faster and needs more memory."""
    max_new_tokens: Annotated[int, Mark("wording")] = Field(45, ge=1, le=300, title="Longest caption")
    """Most tokens the captioner may write."""
    min_new_tokens: Annotated[int, Mark("wording")] = Field(6, ge=0, le=100, title="Shortest caption")
    """Fewest tokens it must write."""
    num_beams: Annotated[int, Mark("wording")] = Field(4, ge=1, le=16, title="Beams")
    """Alternatives weighed while writing; 1 is fastest."""
    do_sample: Annotated[bool, Mark("wording")] = Field(False, title="Vary the wording")
    """Draw words at random instead of taking the likeliest."""
    temperature: Annotated[float, Mark("wording")] = Field(0.8, gt=0, le=2, title="Temperature")
    """How free the wording is when varied."""
    top_p: Annotated[float, Mark("wording")] = Field(0.9, gt=0, le=1, title="Top p")
    """Share of likely words considered when varied."""
    repetition_penalty: Annotated[float, Mark("wording")] = Field(1.3, ge=0.5, le=3, title="Repetition penalty")
    """Above 1 discourages repeated words."""
    no_repeat_ngram_size: Annotated[int, Mark("wording")] = Field(3, ge=0, le=10, title="No repeated runs")
    """Word runs of this length may not repeat; 0: off."""
    picture_shape: Annotated[Literal["pad", "squash"], Mark("wording")] = Field(
        "pad", title="Picture for the captioner"
    )
    """pad: white borders make it square; squash: pressed into 512 × 512, as the original did."""
    cleaning: Annotated[Literal["all", "commas", "none"], Mark("wording")] = Field("all", title="Tidying")
    """all: repeats, invented artists and "a picture of" go; commas: commas go, as in the original; none: nothing."""
    seed: Annotated[int, Mark("wording")] = Field(0, ge=0, le=2**32 - 1, title="Seed")
    """Same seed, same captions."""

    @model_validator(mode="after")
    def _shortest_not_above_longest(self) -> Self:
        if self.min_new_tokens > self.max_new_tokens:
            raise PydanticCustomError(
                "shortest_above_longest",
                "min_new_tokens is {shortest}, which is more than max_new_tokens, {longest}",
                {"shortest": self.min_new_tokens, "longest": self.max_new_tokens},
            )
        return self


class SettledCaptioning(CaptionConfig):
    """The settings of a captioning with nothing left open: all that a captioner takes. Made by `captions.settle`."""

    captioner: str = Field(min_length=1)
    prompt: str


class TrainConfig(Config):
    """Settings of the Train stage; the original's command line has all its settings here."""

    base_model: Annotated[str, Mark("project", affects="step", by_base=True)] = Field("", title="Base model")
    """A listed name, the path of any .safetensors file or folder, or a Hugging Face id; empty: the project's."""
    name: Annotated[str, Mark("plain", affects="result")] = Field("", title="Name of the LoRA", max_length=64)
    """File name of the result; Hangul becomes Latin letters, since other programs need them; empty: the project's."""
    resolution: Annotated[int | None, Mark("plain", affects="step", by_base=True)] = Field(
        None, ge=64, le=2048, title="Size"
    )
    """Side in pixels of a square, or of the square with a bucket's area; None: the base model's own."""
    crop: Annotated[Literal["bucket", "square"], Mark("drawings", affects="step")] = Field("bucket", title="Shape")
    """bucket: drawings keep their shape; square: shorter side to size, centre cut out, as the original."""
    random_flip: Annotated[bool, Mark("plain", metadata="flip_aug")] = Field(False, title="Mirror at random")
    """Also learn mirrored drawings; off keeps hair partings, text and signatures as they are."""
    train_batch_size: Annotated[
        int | None, Mark("amounts", affects="step", by_base=True, metadata="batch_size_per_device")
    ] = Field(None, ge=1, le=64, title="Batch size")
    """Drawings in one step; None: the base model's own."""
    gradient_accumulation_steps: Annotated[
        int, Mark("amounts", affects="step", metadata="gradient_accumulation_steps")
    ] = Field(1, ge=1, le=128, title="Accumulated batches")
    """Batches added up before the weights move."""
    num_train_epochs: Annotated[int | None, Mark("amounts", metadata="num_epochs")] = Field(
        None, ge=1, le=10_000, title="Epochs"
    )
    """Times every drawing is seen; used when the number of steps is not given."""
    effort: Annotated[Literal["quick", "balanced", "thorough"], Mark("preset")] = Field("balanced", title="Effort")
    """Where steps and epochs are not given: quick is a first look, thorough takes twice as long as balanced."""
    max_train_steps: Annotated[int | None, Mark("plain", metadata="max_train_steps")] = Field(
        None, ge=1, le=1_000_000, title="Steps"
    )
    """Times the weights move; None: from the epochs, else from the number of drawings."""
    checkpointing_steps: Annotated[int | None, Mark("amounts")] = Field(None, ge=1, title="Steps between checkpoints")
    """How much a crash can cost, ten minutes at most; None: a tenth of the run."""
    validation_steps: Annotated[int | None, Mark("amounts")] = Field(None, ge=1, title="Steps between previews")
    """None: a tenth of the run."""
    validation_prompts: Annotated[Prompts, Mark("previews", affects="result")] = Field((), title="Preview prompts")
    """Drawn at step 0 and along the way; empty: the project's."""
    learning_rate: Annotated[float | None, Mark("plain", by_base=True, metadata="learning_rate")] = Field(
        None, gt=0, le=1, title="Learning rate"
    )
    """How far each step moves; None: the base model's own for this number of drawings."""
    text_encoder_lr: Annotated[float, Mark("text")] = Field(5e-5, gt=0, le=1, title="Learning rate of the text encoder")
    """Used when the text encoder is trained."""
    train_text_encoder: Annotated[bool, Mark("text", affects="step")] = Field(False, title="Train the text encoder")
    """Also teach the words; slower, rarely needed for a style."""
    lr_scheduler: Annotated[Literal["cosine", "linear", "constant", "constant_with_warmup"], Mark("optimiser")] = Field(
        "cosine", title="Schedule"
    )
    """How the learning rate falls."""
    lr_warmup_steps: Annotated[int | None, Mark("optimiser", metadata="lr_warmup_steps")] = Field(
        None, ge=0, title="Warm-up steps"
    )
    """Steps in which the learning rate rises; None: one twentieth of the run."""
    rank: Annotated[int | None, Mark("plain", affects="step", by_base=True, from_lora=True, metadata="network_dim")] = (
        Field(None, ge=1, le=256, title="Rank")
    )
    """Size of the LoRA; the file grows linearly with it; None: the base model's own for this number of drawings."""
    lora_alpha: Annotated[float | None, Mark("lora", from_lora=True)] = Field(None, gt=0, le=512, title="Alpha")
    """The LoRA acts with alpha / rank; None: half the rank."""
    target_modules: Annotated[
        Literal["auto", "attention", "transformer", "all"], Mark("lora", affects="step", by_base=True, from_lora=True)
    ] = Field("auto", title="What is trained")
    """attention: as the original; transformer: and what is around it; all: also convolutions; auto: the model's own."""
    adapter: Annotated[Literal["lora", "dora", "loha", "lokr"], Mark("lora", affects="step")] = Field(
        "lora", title="Kind of LoRA"
    )
    """lora loads everywhere; dora learns size and direction apart; loha and lokr are small; not all tools load them."""
    init_lora: Annotated[str, Mark("lora", affects="result")] = Field("", title="Go on from a LoRA")
    """Path of a LoRA file inside the workspace, of the same kind and rank, whose weights are the start; empty: none."""
    snr_gamma: Annotated[float | None, Mark("optimiser", metadata="min_snr_gamma")] = Field(
        5.0, gt=0, title="Min-SNR gamma"
    )
    """Evens out easy and hard noise levels (arXiv:2303.09556, section 3.4); None: plain mean squared error."""
    noise_offset: Annotated[float, Mark("drawings")] = Field(0.0, ge=0, le=0.2, title="Noise offset")
    """Lets pictures become darker or brighter; shifts flat colours."""
    caption_dropout: Annotated[float | None, Mark("text", by_base=True, metadata="caption_dropout_rate")] = Field(
        None, ge=0, le=0.5, title="Caption dropout"
    )
    """Share of steps without caption; None: by the number of drawings."""
    shuffle_tags: Annotated[bool, Mark("text", metadata="shuffle_caption")] = Field(False, title="Shuffle tags")
    """Put the tags between commas in another order now and then; for lists of tags, not for sentences."""
    keep_tags: Annotated[int, Mark("text")] = Field(1, ge=0, le=20, title="Tags that stay in front")
    """How many of the first tags are never shuffled; the trigger never is."""
    optimizer: Annotated[
        Literal["adamw", "adamw8bit", "prodigy", "schedule_free"], Mark("optimiser", affects="step")
    ] = Field("adamw", title="Optimiser")
    """adamw8bit needs less memory, prodigy and schedule_free find their own pace; these three need a package each."""
    max_grad_norm: Annotated[float, Mark("optimiser", metadata="max_grad_norm")] = Field(
        1.0, gt=0, title="Gradient norm"
    )
    """Longer gradients are shortened to this."""
    adam_beta1: Annotated[float, Mark("optimiser")] = Field(0.9, ge=0, lt=1, title="Adam beta 1")
    """Memory of the direction."""
    adam_beta2: Annotated[float, Mark("optimiser")] = Field(0.99, ge=0, lt=1, title="Adam beta 2")
    """Memory of the size."""
    adam_weight_decay: Annotated[float, Mark("optimiser")] = Field(0.01, ge=0, le=1, title="Weight decay")
    """Pulls the LoRA's weights towards zero."""
    ema_decay: Annotated[float, Mark("lora")] = Field(0.99, ge=0, lt=1, title="Averaging")
    """Average of the LoRA over about 1 / (1 - value) steps is what is saved; 0: off."""
    clip_skip: Annotated[int | None, Mark("text", by_base=True, metadata="clip_skip")] = Field(
        None, ge=1, le=4, title="Clip skip"
    )
    """Which layer of the text encoder is read, from the end; None: the base model's own."""
    mixed_precision: Annotated[Literal["auto", "no", "bf16", "fp16"], Mark("machine", affects="step")] = Field(
        "auto", title="Precision"
    )
    """auto: the fastest this machine can do well."""
    attention: Annotated[Attention, Mark("machine", affects="step")] = Field("sdpa", title="Attention")
    """sdpa: PyTorch's own; xformers: that library's, where it is installed and works on this GPU."""
    gradient_checkpointing: Annotated[bool, Mark("machine", affects="step", metadata="gradient_checkpointing")] = Field(
        False, title="Save memory"
    )
    """Needs about a fifth more time and much less memory."""
    num_processes: Annotated[int, Mark("machine", affects="step")] = Field(1, ge=1, le=64, title="Devices")
    """GPUs that train together, each its share of every batch."""
    validation_share: Annotated[float | None, Mark("amounts", by_base=True)] = Field(
        None, ge=0, le=0.5, title="Held-out share"
    )
    """Share of the drawings only used to measure; 0: all are trained on; None: a tenth from 20 drawings on."""
    seed: Annotated[int, Mark("amounts", affects="result", metadata="seed")] = Field(
        42, ge=0, le=2**32 - 1, title="Seed"
    )
    """Same seed on the same machine, same LoRA."""
    report_to: Annotated[Literal["none", "tensorboard", "wandb", "trackio"], Mark("machine", affects="result")] = Field(
        "none", title="Also report to"
    )
    """A tracker of your own; it must be installed."""


class SettledTraining(TrainConfig):
    """The settings of a training with nothing left open: what `job.json` keeps, and all that the training engine takes.

    Made by `training.plan.settle`. Only `snr_gamma` may still be None, which means plain mean squared error, and
    `mixed_precision` "auto": loading decides by the device. The bounds are those of `TrainConfig`.
    """

    base_model: str = Field(min_length=1)
    resolution: int
    train_batch_size: int
    num_train_epochs: int
    max_train_steps: int
    checkpointing_steps: int
    validation_steps: int
    learning_rate: float
    lr_warmup_steps: int
    rank: int
    lora_alpha: float
    target_modules: Literal["attention", "transformer", "all"]
    caption_dropout: float
    clip_skip: int
    validation_share: float

    @model_validator(mode="before")
    @classmethod
    def _within_bounds(cls, values: object) -> object:
        TrainConfig.model_validate(values)  # its error says which bound was crossed
        return values


class GenerateConfig(Config):
    """Settings of the Generate stage."""

    prompt: Annotated[str, Mark("prompts")] = Field("", title="Prompt", max_length=MAX_PROMPT_CHARACTERS)
    """What the picture shows; (words : 1.5) weighs them."""
    negative_prompt: Annotated[str, Mark("prompts")] = Field(
        "", title="Negative prompt", max_length=MAX_PROMPT_CHARACTERS
    )
    """What it should not show."""
    base_model: Annotated[str, Mark("project")] = Field("", title="Base model")
    """A listed name, the path of any .safetensors file or folder, or a Hugging Face id; empty: the project's."""
    lora: Annotated[str, Mark("style")] = Field("", title="LoRA")
    """The style: path of a LoRA file inside the workspace; empty: none."""
    lora_scale: Annotated[float, Mark("style")] = Field(1.0, ge=-2, le=3, title="Strength")
    """How much of the style: 0 none, 1 as trained."""
    sampler: Annotated[Sampler, Mark("sampling")] = Field("Euler a", title="Sampler")
    """How noise becomes a picture."""
    schedule: Annotated[Schedule, Mark("sampling")] = Field("Automatic", title="Schedule")
    """How the noise levels are spaced."""
    num_inference_steps: Annotated[int | None, Mark("sampling")] = Field(None, ge=1, le=150, title="Steps")
    """More is slower and finer; None: the base model's own."""
    guidance_scale: Annotated[float | None, Mark("sampling")] = Field(None, ge=0, le=30, title="CFG scale")
    """How strictly the prompt is followed; None: the base model's own."""
    seed: Annotated[int | None, Mark("pictures")] = Field(None, ge=0, le=2**32 - 1, title="Seed")
    """Same seed, same picture; None: random."""
    width: Annotated[int | None, Mark("size")] = Field(None, ge=64, le=2048, multiple_of=8, title="Width")
    """In pixels; None: the base model's own."""
    height: Annotated[int | None, Mark("size")] = Field(None, ge=64, le=2048, multiple_of=8, title="Height")
    """In pixels; None: the base model's own."""
    batch_size: Annotated[int, Mark("pictures")] = Field(1, ge=1, le=16, title="Pictures")
    """Pictures made together; picture i has seed + i."""
    clip_skip: Annotated[int | None, Mark("machine")] = Field(None, ge=1, le=4, title="Clip skip")
    """Which layer of the text encoder is read, from the end; None: the base model's own."""
    attention: Annotated[Attention, Mark("machine")] = Field("sdpa", title="Attention")
    """sdpa: PyTorch's own; xformers: that library's, where it is installed and works on this GPU."""


class SettledGeneration(GenerateConfig):
    """The settings of a picture request with nothing left open: all that the engine takes, and what a recipe holds.

    Made by `generation.request`. In the recipe of a picture `base_model` is empty where it would be a path of this
    machine. The bounds are those of `GenerateConfig`.
    """

    num_inference_steps: int
    guidance_scale: float
    seed: int
    width: int
    height: int
    clip_skip: int

    @model_validator(mode="before")
    @classmethod
    def _within_bounds(cls, values: object) -> object:
        GenerateConfig.model_validate(values)  # its error says which bound was crossed
        return values


ALL_CONFIGS: dict[str, type[Config]] = {
    "project": ProjectSettings,
    "trigger": Trigger,
    "caption": CaptionConfig,
    "train": TrainConfig,
    "generate": GenerateConfig,
}


def setting_sentences() -> dict[str, str]:
    """English label and explanation of every setting: `train.rank` and `train.rank.info` under the room `settings`."""
    texts: dict[str, str] = {}
    for stage, config in ALL_CONFIGS.items():
        for name, field in config.model_fields.items():
            texts[f"settings.{stage}.{name}"] = field.title or name
            texts[f"settings.{stage}.{name}.info"] = field.description or ""
    return texts
