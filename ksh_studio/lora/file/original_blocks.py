"""The names that Stable Diffusion's own code gives the parts of the UNet, and diffusers' names for them (no torch).

The original numbers the blocks in a row and diffusers groups them by size, two layers to a block (three on the way up);
this holds for SD 1.x, SD 2.x and SDXL. Names here have underscores for dots, as in kohya's files.
"""

import re

_BLOCK = re.compile(r"(input_blocks|middle_block|output_blocks)_(\d+)(?:_(.*))?")
_LAYERS_DOWN, _LAYERS_UP = 3, 3
"""Places of a block in the row: two layers and a sampler on the way down, three layers on the way up."""
_IN_RESNET = {
    "in_layers_0": "norm1",
    "in_layers_2": "conv1",
    "emb_layers_1": "time_emb_proj",
    "out_layers_0": "norm2",
    "out_layers_3": "conv2",
    "skip_connection": "conv_shortcut",
}
_OUTSIDE_BLOCKS = {
    "input_blocks_0_0": "conv_in",
    "time_embed_0": "time_embedding_linear_1",
    "time_embed_2": "time_embedding_linear_2",
    "out_0": "conv_norm_out",
    "out_2": "conv_out",
}


def diffusers_path(path: str) -> str:
    """The path in diffusers' UNet of a module that has the original's path; any other path stays as it is."""
    if path in _OUTSIDE_BLOCKS:
        return _OUTSIDE_BLOCKS[path]
    match = _BLOCK.fullmatch(path)
    if match is None or match[3] is None:
        return path
    row, number, rest = match[1], int(match[2]), match[3]
    if row == "middle_block":
        place = "attentions_0" if number == 1 else f"resnets_{number // 2}"
        return f"mid_block_{place}_{_IN_RESNET.get(rest, rest)}"
    part, _, inner = rest.partition("_")
    if row == "input_blocks":
        block, layer = divmod(number - 1, _LAYERS_DOWN)
        if inner == "op":
            return f"down_blocks_{block}_downsamplers_0_conv"
        block_path = f"down_blocks_{block}"
    else:
        block, layer = divmod(number, _LAYERS_UP)
        if inner == "conv":
            return f"up_blocks_{block}_upsamplers_0_conv"
        block_path = f"up_blocks_{block}"
    kind = "resnets" if part == "0" else "attentions"
    return f"{block_path}_{kind}_{layer}_{_IN_RESNET.get(inner, inner)}"
