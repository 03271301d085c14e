#!/usr/bin/env python3
"""Shows the faults of the reference that docs/reference_faults.md lists, with the pinned diffusers and transformers.

Usage: reference_faults.py --golden-dir DIR

DIR is a folder of make_goldens.py (or tests/golden/diffusers), of which the tiny models are used. Each fault is a function
that fails when the fault is gone: then the document, and what the server does, is to be looked at again. Ends with an exit code
other than 0 when one is gone, or when document and script do not list the same faults.
"""

import reference  # before torch: it says how idle threads wait

import argparse
import copy
import io
import pathlib
import re
import struct
import zlib
from unittest import mock

import torch
from diffusers import (DDIMScheduler, EulerDiscreteScheduler, KandinskyV22Img2ImgPipeline, KandinskyV22InpaintPipeline,
                       KandinskyV22Pipeline, UnCLIPScheduler)
from diffusers.pipelines.kandinsky2_2 import pipeline_kandinsky2_2_inpainting as inpainting
from PIL import Image

TESTS = pathlib.Path(__file__).parent.parent
DOCUMENT = TESTS.parent / "docs" / "reference_faults.md"
SIZE = 64
STEPS = {"num_inference_steps": 3, "height": SIZE, "width": SIZE}


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator("cpu").manual_seed(seed)


def fails(call) -> bool:
    try:
        call()
    except Exception:  # pylint: disable=broad-except  # which one is the reference's business
        return True
    return False


def png(samples: list[int], depth: int, key: int | None = None) -> Image.Image:
    """A gray PNG of one row, as Pillow reads it; `key` is transparent."""
    bits = "".join(f"{sample:0{depth}b}" for sample in samples)
    row = b"\0" + int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    transparent = b"" if key is None else chunk(b"tRNS", struct.pack(">H", key))
    return Image.open(io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", len(samples), 1, depth, 0, 0, 0, 0))
                                 + transparent + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")))


def missing_tests(document: str) -> list[str]:
    """The tests and suites that the document names and that are not there."""
    sources = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("*_test.cc"))
    defined = set(re.findall(r"^TEST(?:_F|_P)?\((\w+, \w+)\)", sources, re.MULTILINE))
    suites = {test.split(", ")[0] for test in defined}
    named = re.findall(r"(\w+)\.([A-Z]\w+)", "".join(line.rsplit("|", 2)[1] for line in document.splitlines() if line.startswith("| `")))
    golden = re.findall(r"\b(Golden\w+Test)\b", document)
    return [f"{suite}.{name}" for suite, name in named if f"{suite}, {name}" not in defined] + [
        suite for suite in golden if suite not in suites]


class Faults:
    """A method for each fault, named as in the document; returns whether the fault is there."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.model = reference.Model(folder / "models")
        self.inpaint = reference.Model(folder / "models" / "inpaint")
        self.depth = reference.Model(folder / "models" / "depth")
        for model in (self.model, self.inpaint, self.depth):
            model.decoder.set_progress_bar_config(disable=True)
        width = self.model.decoder.unet.config.encoder_hid_dim
        self.embeds = torch.randn(2, width, generator=generator())
        self.zero = torch.zeros(2, width)
        self.picture = Image.linear_gradient("L").resize((SIZE, SIZE)).convert("RGB")

    def embeddings(self, count: int = 1) -> dict:
        return {"image_embeds": self.embeds[:count], "negative_image_embeds": self.zero[:count]}

    def img2img(self) -> KandinskyV22Img2ImgPipeline:
        pipeline = KandinskyV22Img2ImgPipeline(**self.model.decoder.components)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def width_and_height_are_exchanged_in_image_to_image(self) -> bool:
        pipeline = self.img2img()
        with mock.patch.object(pipeline.movq, "encode", wraps=pipeline.movq.encode) as encode:
            pipeline(**self.embeddings(), image=self.picture, strength=1.0, height=64, width=128, num_inference_steps=2,
                     generator=generator())
        return encode.call_args.args[0].shape[-2:] == (128, 64)

    def inpainting_takes_the_first_image_and_mask_for_all(self) -> bool:
        images = torch.stack([torch.full((3, SIZE, SIZE), -0.8), torch.full((3, SIZE, SIZE), 0.8)])
        masks = torch.zeros(2, 1, SIZE, SIZE)
        masks[0, :, :, :32] = 1
        masks[1, :, :, 32:] = 1
        pipeline = self.inpaint.decoder
        made = pipeline(**self.embeddings(2), image=images, mask_image=masks, generator=generator(),
                        output_type="latent", **STEPS).images
        first = pipeline.movq.encode(images[:1]).latents[0]
        half = first.shape[-1] // 2
        kept = made[1][:, :, half + 1:]  # the half that the first mask keeps and the second repaints
        return torch.allclose(kept, first[:, :, half + 1:], atol=1e-4)

    def embeddings_are_not_repeated_without_guidance(self) -> bool:
        def run(scale: float):
            return self.model.decoder(**self.embeddings(), num_images_per_prompt=2, guidance_scale=scale,
                                      generator=generator(), **STEPS)
        return not fails(lambda: run(4.0)) and fails(lambda: run(1.0))

    def hints_are_not_repeated_without_guidance(self) -> bool:
        hint = torch.rand(1, 3, SIZE, SIZE, generator=generator())

        def run(scale: float):
            # Two embeddings, so that theirs is not the fault that shows.
            images = 2 if scale > 1 else 1
            return self.depth.decoder(**self.embeddings(2 // images), hint=hint, num_images_per_prompt=images,
                                      guidance_scale=scale, generator=generator(), **STEPS)
        return not fails(lambda: run(4.0)) and fails(lambda: run(1.0))

    def ddim_steps_by_the_stride_whatever_the_spacing(self) -> bool:
        scheduler = DDIMScheduler(timestep_spacing="linspace", set_alpha_to_one=False, clip_sample=False)
        scheduler.set_timesteps(10)
        now, following = scheduler.timesteps[0].item(), scheduler.timesteps[1].item()
        sample, noise = torch.ones(1), torch.ones(1)
        alpha = scheduler.alphas_cumprod
        clean = (sample - (1 - alpha[now]).sqrt() * noise) / alpha[now].sqrt()

        def at(timestep: int) -> torch.Tensor:
            return alpha[timestep].sqrt() * clean + (1 - alpha[timestep]).sqrt() * noise
        step = scheduler.step(noise, now, sample).prev_sample
        return following != now - 100 and torch.allclose(step, at(now - 100)) and not torch.allclose(step, at(following))

    def unclip_cannot_do_one_step(self) -> bool:
        return fails(lambda: UnCLIPScheduler().set_timesteps(1)) and not fails(lambda: UnCLIPScheduler().set_timesteps(2))

    def a_strength_of_no_step_is_an_internal_error(self) -> bool:
        def run(strength: float):
            return self.img2img()(**self.embeddings(), image=self.picture, strength=strength, generator=generator(), **STEPS)
        return not fails(lambda: run(0.34)) and fails(lambda: run(0.3))

    def gray_and_transparent_images_fail_in_image_to_image(self) -> bool:
        def run(mode: str):
            return self.img2img()(**self.embeddings(), image=self.picture.convert(mode), strength=1.0,
                                  generator=generator(), **STEPS)
        return not fails(lambda: run("RGB")) and fails(lambda: run("L")) and fails(lambda: run("RGBA"))

    def euler_input_is_never_scaled(self) -> bool:
        scheduler = EulerDiscreteScheduler.from_config(self.model.decoder.scheduler.config)
        pipeline = KandinskyV22Pipeline(unet=self.model.decoder.unet, movq=self.model.decoder.movq, scheduler=scheduler)
        pipeline.set_progress_bar_config(disable=True)
        with mock.patch.object(scheduler, "scale_model_input", wraps=scheduler.scale_model_input) as scale:
            pipeline(**self.embeddings(), generator=generator(), **STEPS)
        return not scale.called and scheduler.init_noise_sigma > 2

    def inpainting_noises_what_is_kept_with_scaled_noise(self) -> bool:
        scheduler = EulerDiscreteScheduler.from_config(self.inpaint.decoder.scheduler.config)
        pipeline = KandinskyV22InpaintPipeline(unet=self.inpaint.decoder.unet, movq=self.inpaint.decoder.movq,
                                               scheduler=scheduler)
        pipeline.set_progress_bar_config(disable=True)
        with mock.patch.object(scheduler, "add_noise", wraps=scheduler.add_noise) as add_noise:
            pipeline(**self.embeddings(), image=self.picture, mask_image=Image.new("L", (SIZE, SIZE), 255),
                     generator=generator(), **STEPS)
        return add_noise.call_args.args[1].std() > 2  # unit noise has 1

    def sixteen_bit_gray_is_cut_off_at_255(self) -> bool:
        return png([0x0040, 0x1200, 0xFFFF], 16).convert("L").tobytes() == b"\x40\xff\xff"

    def color_keys_are_compared_with_samples_of_8_bits(self) -> bool:
        def alpha(key: int, depth: int) -> bytes:
            return png([key, 0], depth, key).convert("RGBA").getchannel("A").tobytes()
        return alpha(5, 8) == b"\0\xff" and all(alpha(key, depth) == b"\xff\xff"
                                                for key, depth in ((1, 2), (5, 4), (0x1234, 16)))

    def the_color_under_transparency_counts_in_masks(self) -> bool:
        def keep(colour: int) -> torch.Tensor:
            clear = Image.new("LA", (SIZE, SIZE), (colour, 0))
            return inpainting.prepare_mask_and_masked_image(self.picture, clear, SIZE, SIZE)[0]
        return bool((keep(0) != keep(255)).all())

    def soft_masks_become_binary_and_grow(self) -> bool:
        keep = torch.ones(1, 1, 4, 4)
        soft = keep.clone()
        soft[..., 1, 1] = 0.4
        grown = inpainting.prepare_mask(soft)
        return bool(grown[..., 0, 0] == 0) and grown.sum() < 15

    def one_generator_for_two_images_makes_other_images(self) -> bool:
        def run(count: int) -> torch.Tensor:
            decoder = self.model.decoder
            with mock.patch.object(decoder.movq, "decode", wraps=decoder.movq.decode) as decode:
                decoder(**self.embeddings(), num_images_per_prompt=count, generator=generator(), **STEPS)
            return decode.call_args.args[0][0]
        return reference.relative_l2(run(2), run(1)) > 0.01

    def a_generator_for_each_image_fails_with_a_negative_prompt(self) -> bool:
        def run(negative: str | None):
            return self.model.prior("a cat", negative_prompt=negative, num_images_per_prompt=2, num_inference_steps=2,
                                    generator=[generator(1), generator(2)])
        return not fails(lambda: run(None)) and fails(lambda: run("a dog"))

    def interpolate_draws_for_a_negative_prompt_that_is_not_used(self) -> bool:
        prior = self.model.prior
        with mock.patch.object(prior.prior, "forward", wraps=prior.prior.forward) as network:
            mixed = prior.interpolate(["a cat", "a dog"], [0.5, 0.5], num_inference_steps=2, generator=generator())
        unused = torch.equal(mixed.negative_image_embeds, prior.get_zero_embed())
        return unused and network.call_count == 3 * 2

    def the_start_of_emb2emb_is_not_normalized(self) -> bool:
        emb2emb = self.model._prior_emb2emb  # pylint: disable=protected-access
        start = torch.randn(1, self.embeds.shape[1], generator=generator())
        with mock.patch.object(emb2emb.scheduler, "add_noise", wraps=emb2emb.scheduler.add_noise) as add_noise:
            emb2emb("a cat", start, strength=1.0, num_inference_steps=2, generator=generator())
        return torch.equal(add_noise.call_args.args[0][:1], start)

    def _adapted(self, others: dict[str, torch.Tensor]) -> float:
        """How much of a layer's adapter load_lora_adapter puts there, from a file with other tensors; {} is the layer."""
        unet = copy.deepcopy(self.model.decoder.unet)
        name = next(name for name, layer in unet.named_modules() if name.endswith("to_q"))
        rows, columns = unet.get_submodule(name).weight.shape
        down, up = torch.randn(2, columns, generator=generator()), torch.randn(rows, 2, generator=generator())
        plain = unet.get_submodule(name)(torch.eye(columns))
        file = {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
        file |= {other.format(name): tensor for other, tensor in others.items()}
        unet.load_lora_adapter(file, prefix=None)
        change, adapter = (unet.get_submodule(name)(torch.eye(columns)) - plain).T, up @ down
        return ((change * adapter).sum() / adapter.square().sum()).item()

    def alpha_is_ignored_beside_peft_keys(self) -> bool:
        return abs(self._adapted({"{}.alpha": torch.tensor(0.5)}) - 1) < 1e-3  # it says 0.5 / 2

    def adapter_tensors_of_unknown_names_are_dropped(self) -> bool:
        names = ("{}.lora_A.default.weight", "nobody.to_q.lora_A.weight", "nobody.to_q.lora_B.weight")
        return not fails(lambda: self._adapted({name: torch.ones(2, 2) for name in names}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--golden-dir", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    reference.prepare_torch()
    faults = Faults(arguments.golden_dir)
    names = [name for name in vars(Faults) if name not in ("__init__", "embeddings", "img2img") and name[0] != "_"]
    document = DOCUMENT.read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", document, re.MULTILINE)
    missing = missing_tests(document)
    for test in missing:
        print(f"no such test: {test}")
    gone = [name for name in names if not getattr(faults, name)()]
    for name in gone:
        print(f"gone from the reference: {name}")
    for name in sorted(set(names) ^ set(listed)):
        print(f"only in {'the document' if name in listed else 'the script'}: {name}")
    if gone or missing or set(names) != set(listed):
        raise SystemExit(1)
    print(f"{len(names)} faults of the reference are as {DOCUMENT.name} says")


if __name__ == "__main__":
    main()
