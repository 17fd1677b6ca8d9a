"""Train the captioner on the training styles, in changed colours, line widths and places."""

import argparse
from pathlib import Path

import numpy as np
import torch
from base_model import load_in_full_precision
from captioner_model import BOS, EOS, IMAGE, PAD, QUERIES, new_captioner, new_processor
from captions import plain_caption
from drawings import Drawings, composite, named_backgrounds, style_names
from PIL import Image
from run_state import Run
from torch import Tensor, nn
from torch.nn import functional
from transformers import Blip2ForConditionalGeneration, Blip2Processor

BATCH = 32
IGNORED = -100
UNKNOWN = -1
GLASSES_WEIGHT = 5


class Learner(nn.Module):
    """The captioner, and while it learns a question put to its eyes alone: are there glasses?

    A thin line reaches the words only through patches, queries and a language model: without this question the eyes
    never learned to see it. The answering layer is thrown away.
    """

    def __init__(self, captioner: Blip2ForConditionalGeneration) -> None:
        """Put the question to this captioner."""
        super().__init__()
        self.captioner = captioner
        self.glasses = nn.Linear(2 * captioner.config.vision_config.hidden_size, 1)

    def forward(self, answers: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return logits of the next tokens [B, length, words] and of glasses [B]."""
        made = self.captioner(**answers)
        patches = made.vision_outputs.last_hidden_state[:, 1:]
        return made.logits, self.glasses(torch.cat([patches.mean(1), patches.amax(1)], 1))[:, 0]


def vary(rgba: Tensor, rng: np.random.Generator) -> Tensor:
    """Return drawings moved, resized, mirrored, their dark lines thicker or thinner, their colours a little off."""
    count = len(rgba)
    scale = torch.from_numpy(rng.uniform(0.8, 1.1, count)).float()
    mirror = torch.from_numpy(rng.choice([-1.0, 1.0], count)).float()
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = scale * mirror, scale
    matrix[:, :, 2] = torch.from_numpy(rng.uniform(-0.1, 0.1, (count, 2))).float()
    grid = functional.affine_grid(matrix, list(rgba.shape), align_corners=False)
    rgba = functional.grid_sample(rgba, grid, align_corners=False, padding_mode="zeros")
    if rng.random() < 0.25:
        kernel = int(rng.choice([2, 3]))
        thick = -functional.max_pool2d(-functional.pad(rgba, (kernel - 1, 0, kernel - 1, 0)), kernel, 1)
        some = torch.from_numpy(rng.random((count, 1, 1, 1)) < 0.5)
        # Only the colour: a figure whose alpha shrank would lose its outline instead.
        rgba = torch.where(some, torch.cat([torch.minimum(thick[:, :3], rgba[:, :3]), rgba[:, 3:]], 1), rgba)
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, (count, 3, 1, 1))).float()
    return torch.cat([torch.minimum(rgba[:, :3] * gain, rgba[:, 3:]), rgba[:, 3:]], 1)


def batch(drawings: Drawings, processor: Blip2Processor, rng: np.random.Generator) -> dict[str, Tensor]:
    """Return pixel values, tokens behind the image's, and labels that only count the caption."""
    indices = rng.integers(0, len(drawings), BATCH)
    names, background = named_backgrounds(rng, BATCH)
    texts = [plain_caption(drawings.attributes[i], name) for i, name in zip(indices, names, strict=True)]
    rows = [[IMAGE] * QUERIES + [BOS, *processor.tokenizer.encode(text)[1:], EOS] for text in texts]
    longest = max(len(row) for row in rows)
    input_ids = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
    attention = (input_ids != PAD).long()
    labels = input_ids.masked_fill(input_ids == PAD, IGNORED)
    labels[:, : QUERIES + 1] = IGNORED
    pictures = composite(vary(drawings.rgba(indices), rng), background) * 2 - 1
    worn = torch.tensor([float(drawings.attributes[i].get("glasses", UNKNOWN)) for i in indices])
    known = {"labels": labels, "glasses": worn}
    return known | {"pixel_values": pictures, "input_ids": input_ids, "attention_mask": attention}


def losses_of(learner: Learner, inputs: dict[str, Tensor], hair: int) -> tuple[Tensor, Tensor]:
    """Return the cross entropy of the captions, the word after "hair," counting more, and that of the eyes' question.

    hair: the token of the word. What follows it says whether there are glasses: one word in fourteen, and the one that
    needs the finest look.
    """
    labels = inputs["labels"][:, 1:]
    answers = {name: tensor for name, tensor in inputs.items() if name not in ("labels", "glasses")}
    logits, seen = learner(answers)
    logits = logits[:, :-1].float()
    losses = functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
    after = functional.pad(labels[:, :-2] == hair, (2, 0))
    spoken = (losses * (1 + GLASSES_WEIGHT * after)).sum() / (labels != IGNORED).sum()
    known = inputs["glasses"] != UNKNOWN
    return spoken, functional.binary_cross_entropy_with_logits(seen[known].float(), inputs["glasses"][known])


@torch.no_grad()
def write_captions(
    model: Blip2ForConditionalGeneration, processor: Blip2Processor, pictures: list[Image.Image]
) -> list[str]:
    """Return one caption for each picture, without sampling."""
    captions = []
    for start in range(0, len(pictures), 50):
        inputs = processor(images=pictures[start : start + 50], return_tensors="pt")
        tokens = model.generate(**inputs, max_new_tokens=45, num_beams=1)
        tokens = tokens[:, QUERIES + 1 :] if int(tokens[0, 0]) == IMAGE else tokens
        captions += processor.batch_decode(tokens, skip_special_tokens=True)
    return captions


def save_captioner(model: Blip2ForConditionalGeneration, processor: Blip2Processor, folder: Path) -> None:
    """Write the folder, its weights in 16 bit."""
    small = Blip2ForConditionalGeneration(model.config)
    small.load_state_dict(model.state_dict())
    small.generation_config = model.generation_config
    small.to(torch.float16).save_pretrained(folder)
    processor.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    load_in_full_precision(folder / "config.json")


def train(build: Path, minutes: float) -> None:
    """Train until the budget is spent and write the folder `<build>/captioner`."""
    torch.manual_seed(0)
    drawings = Drawings.load(build, "train", style_names("train"))
    rng = np.random.default_rng(0)
    names, _ = named_backgrounds(rng, len(drawings))
    texts = [plain_caption(known, name) for known, name in zip(drawings.attributes, names, strict=True)]
    processor = new_processor(texts, build / "captioner")
    model = new_captioner(len(processor.tokenizer))
    run = Run(Learner(model), build / "captioner.pt", minutes, lr=2e-3)
    rng = np.random.default_rng(run.step)
    hair = processor.tokenizer.encode(" hair")[-1]
    while run.progress < 1:
        inputs = batch(drawings, processor, rng)
        with torch.autocast("cpu", torch.bfloat16):
            spoken, seen = losses_of(run.model, inputs, hair)
        run.update(spoken + seen)
        if run.step % 20 == 0:
            print(
                f"captioner {run.step} {run.progress:.3f} loss {spoken.item():.4f}, glasses {seen.item():.4f}",
                flush=True,
            )
        if run.step % 500 == 0:
            save_captioner(run.ema.captioner, processor, build / "captioner")
    run.save()
    save_captioner(run.ema.captioner, processor, build / "captioner")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=14)
    arguments = parser.parse_args()
    train(arguments.build, arguments.minutes)


if __name__ == "__main__":
    main()
