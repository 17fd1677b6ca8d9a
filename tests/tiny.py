"""Tiny models of random weights in the real file layouts: the real loading code runs, nothing is downloaded.

`tiny_base_folder` is a Stable Diffusion folder, `tiny_captioner_folder` a BLIP-2 folder. Both are made in under a
second and load with `from_pretrained`. Weights are the same at every call.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    GPT2Tokenizer,
    OPTConfig,
    T5Config,
    T5Tokenizer,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

POCKET = Path(__file__).resolve().parent.parent / "assets" / "pocket"
TINY_SIZE = 64
TEXT_WIDTH = 32


def byte_letters() -> list[str]:
    """The 256 letters with which byte-level BPE writes bytes, in the order of CLIP's and GPT-2's vocabularies."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [256 + n for n in range(256 - len(plain))]
    return [chr(code) for code in [*plain, *others]]


def tiny_clip_tokenizer() -> CLIPTokenizer:
    """A valid CLIP tokenizer that knows letters only: each letter is one token; a comma is one token."""
    letters = byte_letters()
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: n for n, word in enumerate(words)}, merges=[], model_max_length=77)


def pocket_clip_tokenizer() -> CLIPTokenizer | None:
    """The real CLIP vocabulary that ships with the pocket base model; None where it is not there."""
    folder = POCKET / "base" / "tokenizer"
    return CLIPTokenizer.from_pretrained(folder) if folder.is_dir() else None


def tiny_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Three layers of width 32; its final layer norm has a bias, so that the mean of its output is not zero."""
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=77,
            projection_dim=TEXT_WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    for name, parameter in encoder.named_parameters():
        if name.endswith("final_layer_norm.bias"):
            torch.nn.init.normal_(parameter, mean=0.3, std=0.5)
    return encoder


def tiny_unet(latent_channels: int = 4) -> UNet2DConditionModel:
    """Two levels with SD 1.5's module names (attention on the first, as SD has it, and in the middle)."""
    return UNet2DConditionModel(
        sample_size=TINY_SIZE // 8,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def tiny_vae(latent_channels: int = 4) -> AutoencoderKL:
    """Eight pixels to a latent, as SD's."""
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=latent_channels,
        norm_num_groups=4,
        sample_size=TINY_SIZE,
        scaling_factor=0.18215,
    )


def tiny_base_folder(path: Path, prediction_type: str = "epsilon", latent_channels: int = 4, seed: int = 0) -> Path:
    """Write a Stable Diffusion folder of random weights for 64 px pictures and return `path`.

    prediction_type "v_prediction" makes an SD2-type base.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = tiny_clip_tokenizer()
        pipeline = StableDiffusionPipeline(
            vae=tiny_vae(latent_channels),
            text_encoder=tiny_text_encoder(tokenizer),
            tokenizer=tokenizer,
            unet=tiny_unet(latent_channels),
            scheduler=DDIMScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                prediction_type=prediction_type,
                clip_sample=False,
                set_alpha_to_one=False,
                steps_offset=1,
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(path, safe_serialization=True)
    return path


def tiny_lora_file(
    path: Path, seed: int = 0, size: float = 0.2, width: int = TEXT_WIDTH, output_name: str = ""
) -> Path:
    """Write a LoRA file in kohya format, rank 2, for the attention of `tiny_base_folder`'s UNet and return `path`.

    width: of the text encoder it was made for; another one than the tiny base's makes it fit no tiny base.
    output_name: what its trainer called it, in the metadata.
    """
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, module in tiny_unet().named_modules():
        if name.endswith(("to_q", "to_k", "to_v")):
            key = f"lora_unet_{name.replace('.', '_')}"
            inside = width if "attn2" in name and not name.endswith("to_q") else module.in_features
            tensors[f"{key}.lora_down.weight"] = torch.randn(2, inside, generator=generator) * size
            tensors[f"{key}.lora_up.weight"] = torch.randn(module.out_features, 2, generator=generator) * size
            tensors[f"{key}.alpha"] = torch.tensor(2.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    name = {"ss_output_name": output_name} if output_name else {}
    save_file(tensors, path, {"ss_base_model_version": "tiny", "ss_sd_model_name": "tiny"} | name)
    return path


def tiny_opt_tokenizer() -> GPT2Tokenizer:
    """OPT's special tokens at OPT's ids, and one token a byte."""
    words = ["<s>", "<pad>", "</s>", "<unk>", *byte_letters()]
    return GPT2Tokenizer(
        vocab={word: n for n, word in enumerate(words)},
        merges=[],
        bos_token="</s>",
        eos_token="</s>",
        unk_token="</s>",
        pad_token="<pad>",
        add_prefix_space=False,
    )


def tiny_t5_tokenizer() -> T5Tokenizer:
    """T5's special tokens and one token a printable letter."""
    pieces = ["<pad>", "</s>", "<unk>", "▁", *(chr(code) for code in range(33, 127))]
    return T5Tokenizer(vocab=[(piece, 0.0 if n < 3 else -float(n)) for n, piece in enumerate(pieces)], extra_ids=0)


def tiny_captioner_folder(path: Path, language: str = "opt", seed: int = 0) -> Path:
    """Write a BLIP-2 folder of random weights with its processor and return `path`.

    language: "opt" (continues the prompt, echoes it) or "t5" (answers it).
    """
    tokenizer = tiny_opt_tokenizer() if language == "opt" else tiny_t5_tokenizer()
    processor = Blip2Processor(BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer, num_query_tokens=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Blip2ForConditionalGeneration(_captioner_config(language, processor))
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = (
        tokenizer.convert_tokens_to_ids("Ċ") if language == "opt" else tokenizer.eos_token_id
    )
    model.save_pretrained(path, safe_serialization=True)
    processor.save_pretrained(path)
    return path


def _captioner_config(language: str, processor: Blip2Processor) -> Blip2Config:
    vision = Blip2VisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8
    )
    former = Blip2QFormerConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    tokens = len(processor.tokenizer)
    if language == "opt":
        text = OPTConfig(
            vocab_size=tokens,
            hidden_size=32,
            word_embed_proj_dim=32,
            ffn_dim=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=256,
            pad_token_id=1,
            bos_token_id=2,
            eos_token_id=2,
        )
    else:
        text = T5Config(
            vocab_size=tokens,
            d_model=32,
            d_kv=16,
            d_ff=64,
            num_layers=2,
            num_heads=2,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
    return Blip2Config(
        vision_config=vision,
        qformer_config=former,
        text_config=text,
        num_query_tokens=4,
        image_token_index=processor.tokenizer.convert_tokens_to_ids("<image>"),
    )
