"""Put trained weights into `assets/`: each file beside its place, then renamed; the manifest last."""

import argparse
import hashlib
import json
import os
import shutil
from pathlib import Path

import torch
from base_model import Denoiser, save_base, write_tokenizer
from drawings import HERE
from latents import check_latents, latent_to_rgb, load_vae

POCKET = HERE.parent
REGISTRY_BASE = {
    "native_size": 128,
    "bucket_step": 32,
    "min_size": 64,
    "max_size": 256,
    "clip_skip": 1,
    "num_inference_steps": 20,
}


def replace_folder(made: Path, place: Path) -> None:
    """Move every file of `made` into `place`; who reads meanwhile finds the old or the new file, never half of one."""
    for path in sorted(made.rglob("*")):
        if path.is_file():
            target = place / path.relative_to(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_name(target.name + ".new")
            shutil.copyfile(path, beside)
            beside.chmod(0o644)
            os.replace(beside, target)


def write_json(content: dict, path: Path) -> None:
    """Write JSON beside its place, then rename."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(beside, path)


def hashes(folder: Path, above: Path) -> dict[str, dict]:
    """Return SHA-256 and size of every file, by its name relative to `above`."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".new":
            content = path.read_bytes()
            name = path.relative_to(above).as_posix()
            files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return files


def write_manifest(pocket: Path) -> None:
    """Write what a whole copy of the assets looks like: "files" below `assets/pocket`, "demo" below `assets/demo`."""
    files = hashes(pocket / "base", pocket) | hashes(pocket / "captioner", pocket)
    demo = pocket.parent / "demo"
    write_json({"files": files, "demo": hashes(demo, demo)}, pocket / "manifest.json")


def export_base(build: Path, vocabulary: Path, pocket: Path) -> None:
    """Write the averaged weights as a Stable Diffusion folder, and what the registry must know about it."""
    denoiser = Denoiser()
    checkpoint = build / "base.pt"
    if checkpoint.exists():
        check_latents(build)
        denoiser.load_state_dict(torch.load(checkpoint, weights_only=True)["ema"])
    vae = load_vae(build)
    made = build / "export" / "base"
    shutil.rmtree(made, ignore_errors=True)
    tokenizer = write_tokenizer(vocabulary, made / "tokenizer")
    save_base(denoiser, vae, tokenizer, made)
    replace_folder(made, pocket / "base")
    write_registry(build, pocket)


def write_registry(build: Path, pocket: Path) -> None:
    """Write the constants in which this model differs from Stable Diffusion."""
    rows = [[round(value, 4) for value in row] for row in latent_to_rgb(build, load_vae(build)).tolist()]
    tuned = json.loads((HERE / "tuned.json").read_text(encoding="utf-8"))
    base = REGISTRY_BASE | tuned["base"] | {"latent_rgb": rows}
    write_json({"base": base, "captioner": tuned["captioner"]}, pocket / "registry.json")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--pocket", type=Path, default=POCKET)
    arguments = parser.parse_args()
    if (arguments.build / "vae.pt").exists():
        export_base(arguments.build, arguments.vocabulary, arguments.pocket)
    if (arguments.build / "captioner" / "model.safetensors").exists():
        replace_folder(arguments.build / "captioner", arguments.pocket / "captioner")
    write_manifest(arguments.pocket)


if __name__ == "__main__":
    main()
