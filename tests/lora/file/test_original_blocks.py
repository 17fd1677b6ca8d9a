"""The original's names of the UNet's parts, against diffusers' own conversion of a whole Stable Diffusion 1.5."""

import json

from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

from ksh_studio.lora.file.original_blocks import diffusers_path
from ksh_studio.models.single_file import CONFIGS

IN_RESNET = ("in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3")
IN_ATTENTION = ("norm", "proj_in", "proj_out", "transformer_blocks.0.attn2.to_out.0", "transformer_blocks.0.ff.net.2")


def original_paths():
    """The paths of the modules of Stable Diffusion 1.5, a few of those inside transformers."""
    yield from ("time_embed.0", "time_embed.2", "input_blocks.0.0", "out.0", "out.2")
    places = [(f"input_blocks.{n}", n in (4, 7), n < 9) for n in range(1, 12) if n % 3]
    places += [(f"output_blocks.{n}", True, n > 2) for n in range(12)]
    for place, widens, attends in places:
        yield from (f"{place}.0.{part}" for part in (*IN_RESNET, *(["skip_connection"] if widens else [])))
        yield from (f"{place}.1.{part}" for part in IN_ATTENTION if attends)
    yield from (f"input_blocks.{n}.0.op" for n in (3, 6, 9))
    yield from ("output_blocks.2.1.conv", "output_blocks.5.2.conv", "output_blocks.8.2.conv")
    yield from (f"middle_block.{n}.{part}" for n in (0, 2) for part in IN_RESNET)
    yield from (f"middle_block.1.{part}" for part in IN_ATTENTION)


def test_every_part_has_the_name_that_diffusers_gives_it():
    config = json.loads((CONFIGS / "unet" / "config.json").read_text())
    checkpoint = {f"model.diffusion_model.{path}.weight": path for path in original_paths()}
    checkpoint |= {f"model.diffusion_model.{path}.bias": path for path in original_paths()}
    converted = convert_ldm_unet_checkpoint(checkpoint, config)
    expected = {path: key.removesuffix(".weight") for key, path in converted.items() if key.endswith(".weight")}
    assert len(expected) == len(set(original_paths())) > 200
    for path, diffusers_name in expected.items():
        assert diffusers_path(path.replace(".", "_")) == diffusers_name.replace(".", "_")


def test_diffusers_names_and_foreign_names_stay():
    for path in ("down_blocks_0_attentions_0_proj_in", "mid_block_resnets_0_conv1", "input_blocks_1", "blocks_3"):
        assert diffusers_path(path) == path
