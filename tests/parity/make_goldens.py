#!/usr/bin/env python3
"""Writes what diffusers and transformers compute with the tiny models of make_models.py, for the C++ tests.

Usage: make_goldens.py OUTPUT_DIR [--seed N] [--only-pipelines | --only-samplers] [--live]

Repeatable: the same seed and machine give the same files. The files are described in README.md.
"""

import reference  # before torch: it says how idle threads wait

import argparse
import json
import pathlib
import types

import torch
from diffusers import (DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler,
                       EulerDiscreteScheduler, KandinskyV22ControlnetImg2ImgPipeline, KandinskyV22Img2ImgPipeline,
                       KandinskyV22PriorEmb2EmbPipeline, PriorTransformer, UNet2DConditionModel, UnCLIPScheduler,
                       VQModel)
from diffusers.schedulers import (scheduling_ddim, scheduling_ddpm, scheduling_dpmsolver_multistep,
                                  scheduling_euler_ancestral_discrete, scheduling_euler_discrete, scheduling_unclip)
from safetensors.torch import save
from transformers import (CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer, CLIPVisionConfig,
                          CLIPVisionModelWithProjection)

import checks
import make_models
import published_configs
import task_cases
from texts import TEXTS


def write_json(path: pathlib.Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def write_tensors(path: pathlib.Path, tensors: dict[str, torch.Tensor]) -> None:
    path.write_bytes(save({name: tensor.contiguous() for name, tensor in tensors.items()}))


# ---- single components -----------------------------------------------------------------------------------------------


def component_tensors(models: dict[str, reference.Model], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    tensors = {}
    prior, decoder = models["a"].prior, models["a"].decoder
    inputs = prior.tokenizer(["red cat, 4k photo", "", "кот", "cat " * 90], padding="max_length", max_length=77,
                             truncation=True, return_tensors="pt")
    text = prior.text_encoder(inputs.input_ids)
    tensors["clip_text.input_ids"] = inputs.input_ids
    tensors["clip_text.last_hidden_state"] = text.last_hidden_state
    tensors["clip_text.text_embeds"] = text.text_embeds

    size = prior.image_encoder.config.image_size
    pixels = torch.cat([torch.zeros(1, 3, size, size), draw(2, 3, size, size)])
    tensors["clip_vision.pixel_values"] = pixels
    tensors["clip_vision.image_embeds"] = prior.image_encoder(pixels).image_embeds

    width = prior.prior.config.embedding_dim
    noisy, timestep = draw(4, width), torch.tensor([999, 500, 42, 0])
    mask = inputs.attention_mask.bool()
    predicted = prior.prior(noisy, timestep, proj_embedding=text.text_embeds,
                            encoder_hidden_states=text.last_hidden_state, attention_mask=mask).predicted_image_embedding
    tensors["prior.hidden_states"] = noisy
    tensors["prior.timestep"] = timestep
    tensors["prior.proj_embedding"] = text.text_embeds.clone()
    tensors["prior.encoder_hidden_states"] = text.last_hidden_state.clone()
    tensors["prior.attention_mask"] = mask.to(torch.uint8)
    tensors["prior.predicted_image_embedding"] = predicted
    tensors["prior.post_process_in"] = noisy.clone()
    tensors["prior.post_process_out"] = prior.prior.post_process_latents(noisy)

    unet = decoder.unet
    sample, timestep, embeds = draw(3, unet.config.in_channels, 16, 8), torch.tensor([981, 501, 1]), draw(3, width)
    tensors["unet.sample"] = sample
    tensors["unet.timestep"] = timestep
    tensors["unet.image_embeds"] = embeds
    conditions = {"image_embeds": embeds}
    tensors["unet.out"] = unet(sample, timestep, encoder_hidden_states=None, added_cond_kwargs=conditions).sample

    pixels, latents = draw(2, 3, 64, 32).clamp(-1, 1), draw(2, 4, 4, 8)
    tensors["movq.pixels"] = pixels
    tensors["movq.latents"] = decoder.movq.encode(pixels).latents
    tensors["movq.decode_in"] = latents
    tensors["movq.decoded"] = decoder.movq.decode(latents, force_not_quantize=True).sample
    return tensors | task_component_tensors(models, draw)


def task_component_tensors(models: dict[str, reference.Model], draw) -> dict[str, torch.Tensor]:
    tensors = {}
    inputs = task_cases.make_inputs()
    crops = ["crop_wide", "crop_tall", "crop_transparent"]
    prior = models["a"].prior
    pictures = [reference.Inputs(inputs).picture(crop) for crop in crops]
    pixels = prior.image_processor(pictures, return_tensors="pt").pixel_values
    tensors["clip_pixels.crops"] = torch.stack([inputs[f"inputs.{crop}"] for crop in crops])
    tensors["clip_pixels.pixel_values"] = pixels
    tensors["clip_pixels.image_embeds"] = prior.image_encoder(pixels).image_embeds

    for name in ("inpaint", "depth"):
        unet = models[name].decoder.unet
        conditions = {"image_embeds": draw(2, prior.prior.config.embedding_dim)}
        channels = 9
        if name == "depth":
            channels = 4
            hint = conditions["hint"] = draw(2, 3, 64, 64).clamp(0, 1)
            tensors["hint.in"] = hint
            tensors["hint.out"] = unet.add_embedding.input_hint_block(hint)
        sample, timestep = draw(2, channels, 8, 8), torch.tensor([981, 21])
        tensors[f"unet_{name}.sample"] = sample
        tensors[f"unet_{name}.timestep"] = timestep
        tensors[f"unet_{name}.image_embeds"] = conditions["image_embeds"]
        tensors[f"unet_{name}.out"] = unet(sample, timestep, encoder_hidden_states=None,
                                           added_cond_kwargs=conditions).sample
    return tensors


# ---- samplers --------------------------------------------------------------------------------------------------------


SWAPPED = {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler, "euler_ancestral": EulerAncestralDiscreteScheduler,
           "dpm_solver_multistep": DPMSolverMultistepScheduler}
SAMPLER_MODULES = {"unclip": scheduling_unclip, "ddpm": scheduling_ddpm, "ddpm_learned_range": scheduling_ddpm,
                   "ddim": scheduling_ddim, "euler": scheduling_euler_discrete,
                   "euler_ancestral": scheduling_euler_ancestral_discrete,
                   "dpm_solver_multistep": scheduling_dpmsolver_multistep}


def sampler_cases() -> list[dict]:
    clipping, plain = published_configs.DECODER_SCHEDULER, published_configs.INPAINT_SCHEDULER
    # As it is saved today, with all keys: the swapped samplers take over its spacing, "leading".
    current = json.loads(DDPMScheduler(beta_start=0.00085, beta_end=0.012, steps_offset=1,
                                       clip_sample=False).to_json_string())
    cases = [{"name": f"unclip_{steps}", "kind": "unclip", "config": published_configs.PRIOR_SCHEDULER, "steps": steps}
             for steps in (25, 5, 2)]
    for name, config in (("ddpm_clip", clipping), ("ddpm", plain)):
        cases += [{"name": f"{name}_{steps}", "kind": "ddpm", "config": config, "steps": steps} for steps in (10, 50)]
    for name, config in (("ddim_clip", clipping), ("ddim", plain), ("ddim_alpha_one", current)):
        cases += [{"name": f"{name}_{suffix}", "kind": "ddim", "config": config, "steps": 10, "eta": eta}
                  for suffix, eta in (("eta00", 0.0), ("eta07", 0.7))]
    for kind in ("ddpm_learned_range", "euler", "euler_ancestral", "dpm_solver_multistep"):
        cases += [{"name": f"{kind}_clip_{steps}", "kind": kind, "config": clipping, "steps": steps}
                  for steps in (1, 2, 3, 14, 15, 30)]
        cases += [{"name": f"{kind}_{steps}", "kind": kind, "config": plain, "steps": steps} for steps in (7, 25)]
        cases += [{"name": f"{kind}_{spacing}", "kind": kind, "steps": 9,
                   "config": dict(current, timestep_spacing=spacing)} for spacing in ("leading", "linspace", "trailing")]
    cases += [{"name": f"{kind}_{spacing}", "kind": kind, "steps": 9, "config": dict(current, timestep_spacing=spacing)}
              for kind in ("ddim", "ddpm") for spacing in ("linspace", "trailing")]
    # Starts in the middle, as from a picture; the last ones run a single step.
    for kind in ("unclip", "ddpm", "ddpm_learned_range", "ddim", "euler", "euler_ancestral", "dpm_solver_multistep"):
        config = published_configs.PRIOR_SCHEDULER if kind == "unclip" else clipping
        cases += [{"name": f"{kind}_from_{first}_of_{steps}", "kind": kind, "config": config, "steps": steps,
                   "first": first} for first, steps in ((3, 10), (14, 20), (6, 7))]
    for kind in ("euler", "dpm_solver_multistep", "ddpm_learned_range"):
        cases.append({"name": f"{kind}_sample", "kind": kind, "steps": 6,
                      "config": dict(plain, prediction_type="sample")})
    return [dict({"eta": 0.0, "first": 0}, **case) for case in cases]


def make_scheduler(case: dict):
    kind, config = case["kind"], case["config"]
    if kind == "unclip":
        return UnCLIPScheduler.from_config(config)
    if kind == "ddpm_learned_range":
        return DDPMScheduler.from_config(config, variance_type="learned_range")
    ddpm = DDPMScheduler.from_config(config)
    return ddpm if kind == "ddpm" else SWAPPED[kind].from_config(ddpm.config)


def sampler_output(kind: str, sample: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Half of the output follows the sample, as a network's would; the rest is arbitrary."""
    followed = sample / sample.std() if kind.startswith("euler") else sample
    output = 0.5 * followed + 0.7 * torch.randn(sample.shape, generator=generator)
    if kind != "ddpm_learned_range":
        return output
    # A little beyond the range of -1 to 1 that the network learns.
    return torch.cat([output, 1.1 * torch.tanh(torch.randn(sample.shape, generator=generator))], dim=1)


def sampler_tensors(case: dict, seed: int) -> dict[str, torch.Tensor]:
    """Runs one scheduler on given network outputs and noises, from time-step `first` on."""
    generator = torch.Generator().manual_seed(seed)
    kind, first = case["kind"], case["first"]
    shape = (2, 32) if kind == "unclip" else (1, 4, 4, 2)
    scheduler = make_scheduler(case)
    scheduler.set_timesteps(case["steps"])
    timesteps = scheduler.timesteps
    start = torch.randn(shape, generator=generator)
    noise = torch.randn((case["steps"], *shape), generator=generator)
    clean = torch.randn(shape, generator=torch.Generator().manual_seed(seed + 1_000_000))
    noised = torch.cat([scheduler.add_noise(clean[None], noise[:1], timestep[None]) for timestep in timesteps])
    start = start * scheduler.init_noise_sigma if first == 0 else noised[first].clone()
    sample, outputs, trajectory = start, [], []
    module = SAMPLER_MODULES[kind]
    original = module.randn_tensor
    draws = []
    try:
        for i, timestep in enumerate(timesteps[first:], first):
            module.randn_tensor = lambda *args, step=i, **kwargs: draws.append(step) or noise[step]
            output = sampler_output(kind, sample, generator)
            options = {"eta": case["eta"]} if kind == "ddim" else {}
            if kind == "unclip" and i + 1 < case["steps"]:
                # As the prior pipelines call it; left out, the scheduler would assume neighbouring time-steps.
                options["prev_timestep"] = timesteps[i + 1]
            sample = scheduler.step(output, timestep, sample, **options).prev_sample
            outputs.append(output)
            trajectory.append(sample)
    finally:
        module.randn_tensor = original
    drawn = torch.tensor([draws.count(i) for i in range(first, case["steps"])], dtype=torch.uint8)
    return {"timesteps": timesteps.to(torch.float32), "start": start, "noise": noise, "drawn": drawn,
            "init_noise_sigma": torch.tensor([float(scheduler.init_noise_sigma)]), "clean": clean, "noised": noised,
            "model_output": torch.stack(outputs), "trajectory": torch.stack(trajectory)}


def write_samplers(output: pathlib.Path, seed: int) -> None:
    cases = sampler_cases()
    tensors = {}
    for i, case in enumerate(cases):
        for key, tensor in sampler_tensors(case, seed + i).items():
            tensors[f"{case['name']}.{key}"] = tensor
    write_json(output / "samplers.json", {"cases": cases})
    write_tensors(output / "samplers.safetensors", tensors)


# ---- tokenizer -------------------------------------------------------------------------------------------------------


def write_tokenizer(output: pathlib.Path, models: dict[str, reference.Model]) -> None:
    """The ids of both tokenizer folders, which must agree."""
    def ids(tokenizer: CLIPTokenizer) -> list[list[int]]:
        return tokenizer(TEXTS, padding="max_length", max_length=77, truncation=True).input_ids

    published = ids(models["a"].prior.tokenizer)
    if published != ids(models["b"].prior.tokenizer):
        raise SystemExit("the two forms of the tokenizer disagree")
    cases = [{"text": text, "ids": row} for text, row in zip(TEXTS, published)]
    assert len(cases) >= 200 and all(len(case["ids"]) == 77 for case in cases)
    write_json(output / "tokenizer.json", {"max_length": 77, "cases": cases})


# ---- shares of the steps ---------------------------------------------------------------------------------------------


def write_steps_at_strength(output: pathlib.Path) -> None:
    """Row N - 1: the steps that are run of N at the strengths 1/N, 2/N, ... N/N, the same in every pipeline."""
    pipelines = (KandinskyV22Img2ImgPipeline, KandinskyV22ControlnetImg2ImgPipeline, KandinskyV22PriorEmb2EmbPipeline)

    def run(steps: int, strength: float) -> int:
        stub = types.SimpleNamespace(scheduler=types.SimpleNamespace(timesteps=range(steps)))
        counts = {len(pipeline.get_timesteps(stub, steps, strength, "cpu")[0]) for pipeline in pipelines}
        assert len(counts) == 1
        return counts.pop()

    rows = [[run(steps, k / steps) for k in range(1, steps + 1)] for steps in range(1, 101)]
    write_json(output / "steps_at_strength.json", rows)


# ---- full-size parameter lists ---------------------------------------------------------------------------------------


def full_size_module(component: str) -> torch.nn.Module:
    config = published_configs.FULL_SIZE[component]
    with torch.device("meta"):
        if component == "text_encoder":
            return CLIPTextModelWithProjection(CLIPTextConfig(**config))
        if component == "image_encoder":
            return CLIPVisionModelWithProjection(CLIPVisionConfig(**config))
        classes = {"movq": VQModel, "prior": PriorTransformer}
        return classes.get(component, UNet2DConditionModel).from_config(config)


def write_full_size(output: pathlib.Path) -> None:
    folder = output / "full_size_configs"
    folder.mkdir(exist_ok=True)
    shapes = {}
    for component, config in published_configs.FULL_SIZE.items():
        (folder / f"{component}.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        tensors = full_size_module(component).state_dict()
        shapes[component] = {name: list(tensor.shape) for name, tensor in tensors.items()}
    write_json(output / "parameters.json", shapes)


# ---- whole pipelines -------------------------------------------------------------------------------------------------


def pipeline_case(name: str, model: str, prompt: str, **changes: object) -> dict:
    size = {"width": 64, "height": 64}
    request = {"prompt": prompt, "negative_prompt": None, **size, "steps": 6, "guidance_scale": 4.0, "prior_steps": 5,
               "prior_guidance_scale": 4.0, "sampler": "default", "seeds": [0]}
    assert changes.keys() <= request.keys()
    return {"name": name, "model": model, "request": request | changes}


def pipeline_cases() -> list[dict]:
    return [
        pipeline_case("plain", "a", "red cat, 4k photo"),
        pipeline_case("empty_negative", "a", "кот в космосе, цифровое искусство", negative_prompt="", seeds=[1]),
        pipeline_case("negative_wide", "a", "a small house in the forest", negative_prompt="low quality, bad quality",
                      width=128, seeds=[2], guidance_scale=7.5),
        pipeline_case("tall_two_prior_steps", "a", "赤い猫、高画質の写真", height=128, steps=12, prior_steps=2, seeds=[3]),
        pipeline_case("no_guidance", "a", "ёжик в тумане", guidance_scale=1.0, seeds=[4]),
        pipeline_case("no_prior_guidance", "a", "un chat rouge sur le toit", prior_guidance_scale=1.0, seeds=[5]),
        pipeline_case("no_guidance_at_all_negative", "a", "portrait of a young woman", negative_prompt="blurry",
                      guidance_scale=1.0, prior_guidance_scale=1.0, seeds=[6]),
        pipeline_case("no_guidance_three_images", "a", "oil painting of the sea", guidance_scale=0.0,
                      prior_guidance_scale=0.5, steps=4, seeds=[30, 31, 32]),
        pipeline_case("three_images", "a", "宇航员骑马", negative_prompt="模糊", steps=5, seeds=[40, 41, 42]),
        pipeline_case("ddim", "a", "قطة حمراء", sampler="ddim", steps=8, seeds=[7]),
        pipeline_case("ddim_negative_tall", "a", "bird, 4k photo", sampler="ddim", negative_prompt="", height=128,
                      steps=7, guidance_scale=2.5, seeds=[8]),
        pipeline_case("seed_above_32_bits", "a", "red cat, 4k photo", seeds=[2**32 + 9]),
        pipeline_case("largest_seed", "a", "!", seeds=[2**64 - 1]),
        pipeline_case("overlong_prompt", "a", "cat, " * 60, negative_prompt="dog and " * 60, seeds=[9]),
        pipeline_case("many_steps", "a", "A fantasy landscape, Cinematic lighting", steps=25, prior_steps=25,
                      seeds=[10]),
        pipeline_case("current_form", "b", "red cat, 4k photo", width=96, seeds=[50]),
        pipeline_case("current_form_negative", "b", "eine rote Katze", negative_prompt="schlecht", width=80, height=112,
                      prior_guidance_scale=2.5, seeds=[51]),
        pipeline_case("current_form_ddim", "b", "👩‍🚀 in space", sampler="ddim", steps=10, prior_steps=3,
                      seeds=[52, 53]),
        pipeline_case("current_form_no_guidance", "b", "a cup of coffee", guidance_scale=1.0, steps=20, seeds=[54]),
    ]


def folders(cases: list[dict]) -> dict[str, str]:
    names = {case["model"] for case in cases}
    return {name: folder for name, folder in make_models.MODELS.items() if name in names}


def write_pipelines(output: pathlib.Path, models: dict[str, reference.Model]) -> None:
    cases = pipeline_cases()
    tensors = {}
    for case in cases:
        for key, tensor in models[case["model"]].generate(case["request"]).items():
            tensors[f"{case['name']}.{key}"] = tensor
    write_json(output / "pipelines.json", {"models": folders(cases), "cases": cases})
    write_tensors(output / "pipelines.safetensors", tensors)


def write_tasks(output: pathlib.Path, models: dict[str, reference.Model], live: bool) -> None:
    """The recorded set is made small: no sources, and of each model and task the picture of the first case only."""
    tensors = task_cases.make_inputs(task_cases.task_cases())
    inputs, cases, with_picture = reference.Inputs(dict(tensors)), [], set()
    sources = {name: tensors.pop(name) for name in list(tensors) if name.startswith("sources.")}
    if live:
        write_tensors(output / "sources.safetensors", sources)
    for case in task_cases.task_cases():
        try:
            results = models[case["model"]].generate(case["request"], inputs)
            checks.check_rounding(case["name"], models[case["model"]], inputs, case["request"], results)
        except Exception as error:
            raise RuntimeError(f"{case['name']}: {error}") from error
        kind = (case["model"], case["request"]["task"]["kind"], case["request"]["mix"] is None)
        if not live and kind in with_picture:
            results.pop("image", None)
        with_picture.add(kind)
        cases.append(case | {"results": list(results)})
        tensors |= {f"{case['name']}.{key}": tensor for key, tensor in results.items()}
    write_json(output / "tasks.json", {"models": folders(cases), "cases": cases})
    write_tensors(output / "tasks.safetensors", tensors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=2022, help="of weights and inputs; the requests stay the same")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--only-pipelines", action="store_true", help="models, pipelines.* and tasks.* only")
    only.add_argument("--only-samplers", action="store_true", help="samplers.* only")
    parser.add_argument("--live", action="store_true", help="with all that live_parity.py needs")
    arguments = parser.parse_args()
    reference.prepare_torch()
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    if arguments.only_samplers:
        write_samplers(output, arguments.seed)
        return
    models = make_models.make_models(output, arguments.seed)
    checks.check_models(models)
    write_pipelines(output, models)
    write_tasks(output, models, arguments.live)
    if arguments.only_pipelines:
        return
    write_tensors(output / "components.safetensors", component_tensors(models, arguments.seed))
    write_samplers(output, arguments.seed)
    write_tokenizer(output, models)
    write_steps_at_strength(output)
    write_full_size(output)


if __name__ == "__main__":
    main()
