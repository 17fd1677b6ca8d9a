"""The captioner, untrained: a BLIP-2 of 1.9 million parameters, and the words it knows."""

from pathlib import Path

from drawings import SIZE
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor, GPT2TokenizerFast
from transformers import BlipImageProcessorPil as ImageProcessor

QUERIES = 8
PATCH = 8
WIDTH = 128
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
PAD, BOS, EOS, UNKNOWN, IMAGE = range(len(SPECIAL))


def new_processor(captions: list[str], folder: Path) -> Blip2Processor:
    """Learn a byte-level vocabulary from captions; every other text can still be written byte by byte."""
    learner = ByteLevelBPETokenizer(add_prefix_space=False)
    learner.train_from_iterator(captions, vocab_size=512, special_tokens=SPECIAL)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "learned.json"
    # As OPT's own tokenizer: a text begins with BOS, and the processor puts the image tokens before it.
    learner._tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    learner.save(str(path))
    processor = processor_of(path)
    path.unlink()
    return processor


def processor_of(words: Path) -> Blip2Processor:
    """Return the processor that knows the words of this file of the tokenizers library."""
    tokenizer = GPT2TokenizerFast(
        tokenizer_file=str(words),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        padding_side="left",
        model_max_length=64,
    )
    mean = [0.5, 0.5, 0.5]
    images = ImageProcessor(size={"height": SIZE, "width": SIZE}, image_mean=mean, image_std=mean)
    return Blip2Processor(images, tokenizer, num_query_tokens=QUERIES)


def new_captioner(vocabulary: int) -> Blip2ForConditionalGeneration:
    """Return an untrained captioner."""
    sizes = {"hidden_size": WIDTH, "num_attention_heads": 4, "intermediate_size": 4 * WIDTH}
    ids = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}
    config = Blip2Config(
        vision_config=sizes | {"num_hidden_layers": 3, "image_size": SIZE, "patch_size": PATCH},
        qformer_config=sizes
        | {"num_hidden_layers": 2, "encoder_hidden_size": WIDTH, "cross_attention_frequency": 1, "vocab_size": 8},
        text_config=ids
        | {
            "model_type": "opt",
            "hidden_size": WIDTH,
            "word_embed_proj_dim": WIDTH,
            "ffn_dim": 4 * WIDTH,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "vocab_size": vocabulary,
            "max_position_embeddings": 128,
            "dropout": 0.0,
        },
        num_query_tokens=QUERIES,
        image_token_index=IMAGE,
    )
    model = Blip2ForConditionalGeneration(config)
    # transformers starts them at zero, which makes all queries ask the same.
    nn.init.normal_(model.query_tokens, std=0.5)
    model.generation_config.update(**ids, max_new_tokens=45)
    return model
