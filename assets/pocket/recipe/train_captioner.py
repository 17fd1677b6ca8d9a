"""Train the captioner on the training styles, in changed colours, line widths and places."""

import argparse
from pathlib import Path

import numpy as np
import torch
from base_model import load_in_full_precision
from captioner_data import IGNORED, Batch, Pairs
from captioner_model import IMAGE, QUERIES, new_captioner, new_processor, processor_of
from captions import plain_caption
from drawings import Drawings, named_backgrounds
from PIL import Image
from run_state import SHIPPED, Run, began_from_shipped
from torch import Tensor, nn
from torch.nn import functional
from transformers import Blip2ForConditionalGeneration, Blip2Processor

GLASSES_WEIGHT = 5
# One patch in 23 shows glasses: about one in eleven where they are worn.
SHOWN_WEIGHT = 10.0
LOG_EVERY = 20
RATE = 2e-3
REFINING_RATE = 7e-4


class Learner(nn.Module):
    """The captioner, and while it learns a question put to its eyes alone: which patches show glasses?

    A thin line reaches the words only through patches, queries and a language model: without this question the eyes
    learned to see it late. The answering layer is thrown away.
    """

    def __init__(self, captioner: Blip2ForConditionalGeneration) -> None:
        """Put the question to this captioner."""
        super().__init__()
        self.captioner = captioner
        self.glasses = nn.Linear(captioner.config.vision_config.hidden_size, 1)

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return logits of the next tokens [B, length, words] and of glasses [B, patches]."""
        made = self.captioner(**inputs)
        return made.logits, self.glasses(made.vision_outputs.last_hidden_state[:, 1:])[..., 0]


def losses_of(learner: Learner, batch: Batch, hair: int) -> tuple[Tensor, Tensor]:
    """Return the cross entropy of the captions, the word after "hair," counting more, and that of the eyes' question.

    hair: the token of the word. What follows it says whether there are glasses: one word in fourteen, and the one that
    needs the finest look.
    """
    labels = batch.labels[:, 1:]
    logits, seen = learner(batch.inputs)
    logits = logits[:, :-1].float()
    losses = functional.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
    after = functional.pad(labels[:, :-2] == hair, (2, 0))
    spoken = (losses * (1 + GLASSES_WEIGHT * after)).sum() / (labels != IGNORED).sum()
    seen = seen[: len(batch.glasses)].float()
    shown = torch.full((), SHOWN_WEIGHT)
    return spoken, functional.binary_cross_entropy_with_logits(seen, batch.glasses, pos_weight=shown)


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


def processor_for(build: Path, drawings: Drawings) -> Blip2Processor:
    """Return the shipped words where shipped weights are trained on, for they mean these; else words learned anew."""
    if began_from_shipped(build):
        return processor_of(build / SHIPPED)
    names, _ = named_backgrounds(np.random.default_rng(0), len(drawings))
    texts = [plain_caption(known, name) for known, name in zip(drawings.attributes, names, strict=True)]
    return new_processor(texts, build / "captioner")


def train(build: Path, minutes: float) -> None:
    """Train until the budget is spent and write the folder `<build>/captioner`."""
    torch.manual_seed(0)
    pairs = Pairs(build)
    processor = processor_for(build, pairs.all)
    model = new_captioner(len(processor.tokenizer))
    rate = REFINING_RATE if began_from_shipped(build) else RATE
    run = Run(Learner(model), build / "captioner.pt", minutes, lr=rate)
    rng = np.random.default_rng(run.step)
    hair = processor.tokenizer.encode(" hair")[-1]
    total = torch.zeros(2)
    while run.progress < 1:
        batch = pairs.batch(processor, rng)
        with torch.autocast("cpu", torch.bfloat16):
            spoken, seen = losses_of(run.model, batch, hair)
        run.update(spoken + seen)
        total += torch.stack([spoken, seen]).detach() / LOG_EVERY
        if run.step % LOG_EVERY == 0:
            print(f"captioner {run.step} {run.progress:.3f} loss {total[0]:.4f} glasses {total[1]:.4f}", flush=True)
            total.zero_()
        if run.step % 500 == 0:
            save_captioner(run.ema.captioner, processor, build / "captioner")
    run.save()
    save_captioner(run.ema.captioner, processor, build / "captioner")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True, help="in all, over every start")
    arguments = parser.parse_args()
    train(arguments.build, arguments.minutes)


if __name__ == "__main__":
    main()
