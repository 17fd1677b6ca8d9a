"""Writes a base model as the one file that A1111 and Civitai have: the original names of Stable Diffusion."""

import re

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
VAE_PARTS = [
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"group_norm", "norm"),
    (r"to_out\.0", "proj_out"),
    (r"to_([qkv])", r"\1"),
]


def original_tensors(unet, vae, text_encoder):
    """All tensors of a Stable Diffusion 1.x under their original names."""
    tensors = {f"model.diffusion_model.{unet_name(name)}": tensor for name, tensor in unet.state_dict().items()}
    tensors |= {f"first_stage_model.{vae_name(name)}": vae_shape(name, t) for name, t in vae.state_dict().items()}
    prefix = "cond_stage_model.transformer.text_model."
    tensors |= {prefix + name.removeprefix("text_model."): t for name, t in text_encoder.state_dict().items()}
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def unet_name(name):
    for ours, original in UNET_ENDS.items():
        if name.startswith(f"{ours}."):
            return inner(original + name.removeprefix(ours))
    block, kind, number, rest = re.fullmatch(r"(?:down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", name).groups()
    block, number = int(block), int(number)
    if name.startswith("down"):
        start = 3 * block + number + 1
        place = {"resnets": f"{start}.0", "attentions": f"{start}.1", "downsamplers": f"{3 * block + 3}.0"}[kind]
        return inner(f"input_blocks.{place}.{rest.replace('conv.', 'op.') if kind == 'downsamplers' else rest}")
    start = 3 * block + number
    upsampler = f"{3 * block + 2}.{1 if block == 0 else 2}"
    place = {"resnets": f"{start}.0", "attentions": f"{start}.1", "upsamplers": upsampler}[kind]
    return inner(f"output_blocks.{place}.{rest}")


def inner(name):
    if "transformer_blocks" in name:
        return name
    for ours, original in RESNET.items():
        name = re.sub(rf"\.{ours}\.(weight|bias)$", rf".{original}.\1", name)
    return name


def vae_name(name):
    levels = re.match(r"decoder\.up_blocks\.(\d)", name)
    if levels:
        place = f"decoder.up.{3 - int(levels.group(1))}"
        name = (
            name.replace(levels.group(0), place).replace(".resnets.", ".block.").replace(".upsamplers.0.", ".upsample.")
        )
    for pattern, original in VAE_PARTS:
        name = re.sub(pattern, original, name)
    return name


def vae_shape(name, tensor):
    """Attention was made of convolutions of one pixel."""
    is_attention = re.search(r"attentions\.0\.to_.*weight$", name)
    return tensor[:, :, None, None] if is_attention else tensor
