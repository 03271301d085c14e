"""Runs the diffusers pipelines the way the server promises to: image by image, each with its own generator."""

import contextlib
import logging
import os
import pathlib
import warnings
from typing import Iterator

# Threads that spin while they wait make a busy machine crawl; read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy
import torch
from diffusers import DDIMScheduler, KandinskyV22Pipeline, KandinskyV22PriorPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging


def prepare_torch() -> None:
    """One thread (the models are tiny), repeatable results, no chatter."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.set_grad_enabled(False)
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger().setLevel(logging.ERROR)
    warnings.simplefilter("ignore")


def relative_l2(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return ((actual.double() - expected.double()).norm() / expected.double().norm()).item()


@contextlib.contextmanager
def other_kernels() -> Iterator[None]:
    """Computes with other convolutions, another attention and another number of threads: the noise floor."""
    torch.set_num_threads(2)
    with torch.backends.mkldnn.flags(enabled=False), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        yield
    torch.set_num_threads(1)


class Model:
    """A prior and a decoder pipeline, loaded from the folder that holds `prior` and `decoder`, in 32-bit floats."""

    def __init__(self, folder: pathlib.Path) -> None:
        options = {"torch_dtype": torch.float32, "local_files_only": True, "low_cpu_mem_usage": False}
        self.prior = KandinskyV22PriorPipeline.from_pretrained(folder / "prior", **options)
        self.decoder = KandinskyV22Pipeline.from_pretrained(folder / "decoder", **options)
        self.prior.set_progress_bar_config(disable=True)
        self.decoder.set_progress_bar_config(disable=True)
        self._samplers = {"default": self.decoder.scheduler,
                          "ddim": DDIMScheduler.from_config(self.decoder.scheduler.config)}

    def generate(self, request: dict) -> dict[str, torch.Tensor]:
        """One image per seed; keys image_embeds, negative_image_embeds, latents, image (uint8, rows are images)."""
        results = [self._generate_one(request, seed) for seed in request["seeds"]]
        return {name: torch.cat([result[name] for result in results]) for name in results[0]}

    def _generate_one(self, request: dict, seed: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator("cpu").manual_seed(seed)
        embeds = self.prior(
            request["prompt"], negative_prompt=request["negative_prompt"], num_inference_steps=request["prior_steps"],
            generator=generator, guidance_scale=request["prior_guidance_scale"])
        self.decoder.scheduler = self._samplers[request["sampler"]]
        latents = []

        def keep_latents(pipeline, step, timestep, tensors):
            latents[:] = [tensors["latents"]]
            return {}

        image = self.decoder(
            image_embeds=embeds.image_embeds, negative_image_embeds=embeds.negative_image_embeds,
            height=request["height"], width=request["width"], num_inference_steps=request["steps"],
            guidance_scale=request["guidance_scale"], generator=generator, callback_on_step_end=keep_latents).images[0]
        if image.size != (request["width"], request["height"]):
            raise ValueError(f"the model does not make pictures of {request['width']}x{request['height']}")
        return {"image_embeds": embeds.image_embeds, "negative_image_embeds": embeds.negative_image_embeds,
                "latents": latents[0], "image": torch.from_numpy(numpy.array(image))[None]}
