"""Runs the diffusers pipelines the way the server promises to: image by image, each with its own generator."""

import contextlib
import functools
import logging
import os
import pathlib
import warnings
from typing import Iterator
from unittest import mock

# Threads that spin while they wait make a busy machine crawl; read when torch is loaded, so scripts import this first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy
import torch
from diffusers import (DDIMScheduler, DDPMScheduler, DiffusionPipeline, DPMSolverMultistepScheduler,
                       EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, KandinskyV22ControlnetImg2ImgPipeline,
                       KandinskyV22ControlnetPipeline, KandinskyV22Img2ImgPipeline, KandinskyV22InpaintPipeline,
                       KandinskyV22Pipeline, KandinskyV22PriorEmb2EmbPipeline, KandinskyV22PriorPipeline)
from diffusers.pipelines.kandinsky2_2 import pipeline_kandinsky2_2_inpainting as inpainting
from diffusers.utils import logging as diffusers_logging
from PIL import Image
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


SAMPLERS = {
    "ddpm": DDPMScheduler.from_config,
    "ddim": DDIMScheduler.from_config,
    "ddpm_learned_range": functools.partial(DDPMScheduler.from_config, variance_type="learned_range"),
    "euler": EulerDiscreteScheduler.from_config,
    "euler_ancestral": EulerAncestralDiscreteScheduler.from_config,
    "dpm_solver_multistep": DPMSolverMultistepScheduler.from_config,
}

# A request without the keys that say nothing new; all keys are described in README.md.
DEFAULTS = {
    "prompt": "", "negative_prompt": None, "negative_prior_prompt": None, "prior_start": None,
    "mix": None, "image_embedding": None, "negative_image_embedding": None, "task": {"kind": "text_to_image"},
    "width": 64, "height": 64, "steps": 6, "guidance_scale": 4.0, "prior_steps": 5, "prior_guidance_scale": 4.0,
    "sampler": "default", "eta": 0.0, "seeds": [0],
}


class Inputs:
    """The inputs of requests, by name: "inputs.X" is what the networks' side takes, "sources.X" what a client sends."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self._tensors = tensors

    def picture(self, name: str) -> Image.Image:
        """What the client sends, so that diffusers resizes it by itself."""
        tensor = self._tensors.get(f"sources.{name}", self._tensors[f"inputs.{name}"])
        return Image.fromarray(tensor.numpy())

    def row(self, name: str) -> torch.Tensor:
        """The tensor as a batch of one."""
        return self._tensors[f"inputs.{name}"][None]


class Model:
    """The pipelines of a folder that holds `prior` and `decoder`, in 32-bit floats. `variant`: of the weights' files."""

    def __init__(self, folder: pathlib.Path, variant: str | None = None) -> None:
        options = {"torch_dtype": torch.float32, "local_files_only": True, "low_cpu_mem_usage": False,
                   "variant": variant}
        self.prior = KandinskyV22PriorPipeline.from_pretrained(folder / "prior", **options)
        self.decoder = DiffusionPipeline.from_pretrained(folder / "decoder", **options)
        self._prior_emb2emb = KandinskyV22PriorEmb2EmbPipeline(**self.prior.components)
        self._scheduler_config = self.decoder.scheduler.config
        self._own_scheduler = type(self.decoder.scheduler).from_config
        for pipeline in (self.prior, self._prior_emb2emb):
            pipeline.set_progress_bar_config(disable=True)

    def generate(self, request: dict, inputs: Inputs | None = None) -> dict[str, torch.Tensor]:
        """A row per seed of every result that README.md names for the request's task."""
        request = DEFAULTS | request
        kind = request["task"]["kind"]
        run = self._make_image if kind in IMAGE_TASKS else getattr(self, f"_{kind}")
        results = [run(request, inputs or Inputs({}), seed) for seed in request["seeds"]]
        return {name: torch.cat([result[name] for result in results]) for name in results[0]}

    # ---- the prior ----

    def _embeddings(self, request: dict, inputs: Inputs, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """The image embedding and the negative one, [1, E] each."""
        if request["image_embedding"]:
            positive, negative = inputs.row(request["image_embedding"]), self.prior.get_zero_embed()
        elif request["mix"]:
            positive, negative = self._mix(request, inputs, generator)
        else:
            positive, negative = self._prompt_embeddings(request, inputs, generator)
        if request["negative_image_embedding"]:
            negative = inputs.row(request["negative_image_embedding"])
        return positive, negative

    def _prompt_embeddings(self, request: dict, inputs: Inputs, generator: torch.Generator) -> tuple:
        options = {"num_inference_steps": request["prior_steps"], "guidance_scale": request["prior_guidance_scale"],
                   "generator": generator}
        prompt, negative = request["prompt"], request["negative_prompt"]
        if request["negative_prior_prompt"] is not None:
            # The two runs of the original package. The second takes its random numbers even for nothing.
            run = self.prior(prompt, negative_prompt=request["negative_prior_prompt"], **options)
            other = self.prior(negative or "", **options)
            return run.image_embeds, other.image_embeds if negative else other.negative_image_embeds
        if request["prior_start"]:
            start = request["prior_start"]
            image = inputs.row(start["embedding"]) if "embedding" in start else inputs.picture(start["image"])
            run = self._prior_emb2emb(prompt, image, strength=start["strength"], negative_prompt=negative, **options)
        else:
            run = self.prior(prompt, negative_prompt=negative, **options)
        return run.image_embeds, run.negative_image_embeds

    def _mix(self, request: dict, inputs: Inputs, generator: torch.Generator) -> tuple:
        """interpolate() knows no embeddings; these are added to its sum."""
        parts = request["mix"]
        items = [(part.get("text") or inputs.picture(part["image"]), part["weight"])
                 for part in parts if "embedding" not in part]
        mixture = self.prior.interpolate(
            [item for item, _ in items], [weight for _, weight in items], generator=generator,
            num_inference_steps=request["prior_steps"], guidance_scale=request["prior_guidance_scale"],
            negative_prompt=request["negative_prompt"] or "", negative_prior_prompt=request["negative_prior_prompt"])
        positive = mixture.image_embeds
        for part in parts:
            if "embedding" in part:
                positive = positive + part["weight"] * inputs.row(part["embedding"])
        return positive, mixture.negative_image_embeds

    # ---- tasks that make images ----

    def _make_image(self, request: dict, inputs: Inputs, seed: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator("cpu").manual_seed(seed)
        positive, negative = self._embeddings(request, inputs, generator)
        make_pipeline, options = IMAGE_TASKS[request["task"]["kind"]](request["task"], inputs)
        pipeline = make_pipeline(unet=self.decoder.unet, movq=self.decoder.movq, scheduler=self._scheduler(request))
        pipeline.set_progress_bar_config(disable=True)
        with contextlib.ExitStack() as changes:
            if hasattr(pipeline, "image_processor"):
                changes.enter_context(heights_first(pipeline.image_processor))
            if request["task"].get("soft"):
                keep = keep_mask(inputs.row(request["task"]["mask"]), pipeline.movq_scale_factor)
                changes.enter_context(mock.patch.object(inpainting, "prepare_mask", lambda mask: keep))
            # Not every pipeline offers its latents.
            decode = changes.enter_context(mock.patch.object(pipeline.movq, "decode", wraps=pipeline.movq.decode))
            image = pipeline(
                image_embeds=positive, negative_image_embeds=negative, height=request["height"],
                width=request["width"], num_inference_steps=request["steps"],
                guidance_scale=request["guidance_scale"], generator=generator, **options).images[0]
        if image.size != (request["width"], request["height"]):
            raise ValueError(f"the model does not make pictures of {request['width']}x{request['height']}")
        return {"image_embeds": positive, "negative_image_embeds": negative,
                "latents": decode.call_args.args[0], "image": torch.from_numpy(numpy.array(image))[None]}

    def _scheduler(self, request: dict):
        scheduler = SAMPLERS.get(request["sampler"], self._own_scheduler)(self._scheduler_config)
        if request["eta"]:
            scheduler.step = functools.partial(scheduler.step, eta=request["eta"])  # the pipelines cannot pass it on
        return scheduler

    # ---- single networks ----

    def _embed_text(self, request: dict, inputs: Inputs, seed: int) -> dict[str, torch.Tensor]:
        tokens = self.prior.tokenizer(request["prompt"], padding="max_length", max_length=77, truncation=True,
                                      return_tensors="pt").input_ids
        text = self.prior.text_encoder(tokens)
        return {"embedding": text.text_embeds, "hidden_states": text.last_hidden_state, "token_ids": tokens}

    def _embed_image(self, request: dict, inputs: Inputs, seed: int) -> dict[str, torch.Tensor]:
        picture = inputs.picture(request["task"]["image"])
        pixels = self.prior.image_processor(picture, return_tensors="pt").pixel_values
        return {"embedding": self.prior.image_encoder(pixels).image_embeds}

    def _embed_prompt(self, request: dict, inputs: Inputs, seed: int) -> dict[str, torch.Tensor]:
        positive, negative = self._embeddings(request, inputs, torch.Generator("cpu").manual_seed(seed))
        return {"embedding": positive, "negative_embedding": negative}

    def _encode_latents(self, request: dict, inputs: Inputs, seed: int) -> dict[str, torch.Tensor]:
        if "pixels" in request["task"]:
            pixels = inputs.row(request["task"]["pixels"])
        else:
            processor = KandinskyV22Img2ImgPipeline(**self.decoder.components).image_processor
            picture = inputs.picture(request["task"]["image"])
            pixels = processor.preprocess(picture, height=request["height"], width=request["width"])
        return {"latents": self.decoder.movq.encode(pixels).latents}

    def _decode_latents(self, request: dict, inputs: Inputs, seed: int) -> dict[str, torch.Tensor]:
        pixels = self.decoder.movq.decode(inputs.row(request["task"]["latents"]), force_not_quantize=True).sample
        processor = KandinskyV22Img2ImgPipeline(**self.decoder.components).image_processor
        image = processor.postprocess(pixels, "pil")[0]
        return {"pixels": pixels, "image": torch.from_numpy(numpy.array(image))[None]}


def heights_first(processor):
    """Lets a picture that is not square keep its shape.

    The image-to-image pipelines call preprocess(image, width, height), whose parameters are (image, height, width).
    """
    right = processor.preprocess
    return mock.patch.object(processor, "preprocess", lambda image, width, height: right(image, height, width))


def keep_mask(mask: torch.Tensor, cell: int) -> torch.Tensor:
    """The share of each latent cell that a soft mask ([1, H, W], 255 is repainted) keeps: [1, 1, h, w].

    Takes the place of inpainting.prepare_mask(), which lets binary masks grow.
    """
    return 1 - torch.nn.functional.avg_pool2d(mask[None].float() / 255, cell)


def _text_to_image(task: dict, inputs: Inputs):
    return KandinskyV22Pipeline, {}


def _image_to_image(task: dict, inputs: Inputs):
    return KandinskyV22Img2ImgPipeline, {"image": inputs.picture(task["image"]), "strength": task["strength"]}


def _inpaint(task: dict, inputs: Inputs):
    return KandinskyV22InpaintPipeline, {"image": inputs.picture(task["image"]),
                                         "mask_image": inputs.picture(task["mask"])}


def _control_net(task: dict, inputs: Inputs):
    hint = inputs.row(task["hint"])
    if task["image"] is None:
        return KandinskyV22ControlnetPipeline, {"hint": hint}
    return KandinskyV22ControlnetImg2ImgPipeline, {"hint": hint, "image": inputs.picture(task["image"]),
                                                   "strength": task["strength"]}


# Kind of task to a function that gives the pipeline's class and what it needs beside the embeddings.
IMAGE_TASKS = {"text_to_image": _text_to_image, "image_to_image": _image_to_image, "inpaint": _inpaint,
               "control_net": _control_net}
