"""Proof that models are suited to a comparison: results react to every part of a request, and hardly to rounding."""

import reference
import task_cases

TOLERANCE = 1e-4  # of live_parity.py, relative L2 of the final latents
EMBEDDING_TOLERANCE = 1e-5

PLAIN = {"prompt": "red cat, 4k photo", "seeds": [11]}
OTHER_SAMPLERS = {name: {"sampler": name} for name in reference.SAMPLERS if name != "ddpm"}
IMAGE_TO_IMAGE = PLAIN | {"steps": 8, "task": {"kind": "image_to_image", "image": "square", "strength": 0.5}}
INPAINT = PLAIN | {"task": {"kind": "inpaint", "image": "square", "mask": "disc", "soft": False}}
CONTROL_NET = PLAIN | {"task": {"kind": "control_net", "hint": "depth", "image": None, "strength": None}}
MIX = {"seeds": [11], "mix": [{"text": "red cat, 4k photo", "weight": 0.6}, {"image": "crop_wide", "weight": 0.4}]}
MIX_INFLUENCES = {
    "weight": {"mix": [MIX["mix"][0] | {"weight": 0.3}, MIX["mix"][1]]},
    "picture": {"mix": [MIX["mix"][0], {"image": "crop_tall", "weight": 0.4}]},
    "text": {"mix": [{"text": "blue house", "weight": 0.6}, MIX["mix"][1]]},
    "embedding": {"mix": MIX["mix"] + [{"embedding": "embedding", "weight": 0.2}]},
    # The random numbers alone tell how many runs the prior had.
    "one more text": {"mix": MIX["mix"] + [{"text": "blue house", "weight": 0.0}]},
    "negative prompt": {"negative_prompt": "low quality, bad quality"},
    "negative prior prompt": {"negative_prior_prompt": "blurry"},
    "seed": {"seeds": [12]},
}

COMMON = {
    "prompt": {"prompt": "ночной город, дождь, неоновые огни"},
    "seed": {"seeds": [12]},
    "guidance": {"guidance_scale": 2.0},
    "no guidance": {"guidance_scale": 1.0},
    "prior guidance": {"prior_guidance_scale": 2.0},
    "no prior guidance": {"prior_guidance_scale": 1.0},
    "empty negative prompt": {"negative_prompt": ""},
    "negative prompt": {"negative_prompt": "low quality, bad quality"},
    "steps": {"steps": 7},
    "prior steps": {"prior_steps": 4},
}
TASK_INFLUENCES = {
    "image_to_image": (IMAGE_TO_IMAGE, {
        "picture": {"task": {"image": "reduced"}}, "strength": {"task": {"strength": 0.75}},
        "prompt": COMMON["prompt"], "seed": COMMON["seed"], **OTHER_SAMPLERS}),
    "inpaint": (INPAINT, {
        "picture": {"task": {"image": "reduced"}}, "nothing painted": {"task": {"mask": "nothing"}},
        "softness": {"task": {"soft": True}}, "all painted": {"task": {"mask": "everything"}}, "prompt": COMMON["prompt"],
        "seed": COMMON["seed"], "empty negative prior prompt": {"negative_prior_prompt": ""}, **OTHER_SAMPLERS}),
    "soft inpaint": (INPAINT | {"task": INPAINT["task"] | {"mask": "soft_disc", "soft": True}}, {
        "mask": {"task": {"mask": "disc"}}, "softness": {"task": {"soft": False}}}),
    "control_net": (CONTROL_NET, {
        "hint": {"task": {"hint": "depth_other"}}, "picture": {"task": {"image": "square", "strength": 0.7}},
        "prompt": COMMON["prompt"], "seed": COMMON["seed"], **OTHER_SAMPLERS}),
    "control_net from a picture": (CONTROL_NET | {
        "steps": 8, "task": {"kind": "control_net", "hint": "depth", "image": "square", "strength": 0.5}}, {
        "hint": {"task": {"hint": "depth_other"}}, "picture": {"task": {"image": "reduced"}},
        "strength": {"task": {"strength": 0.75}}}),
    "mix": (MIX, MIX_INFLUENCES),
    "mix and image_to_image": (IMAGE_TO_IMAGE | MIX | {"prompt": ""}, MIX_INFLUENCES | {
        "start": {"task": {"image": "reduced"}}, "strength": {"task": {"strength": 0.75}}}),
    "mix and inpaint": (INPAINT | MIX | {"prompt": ""}, MIX_INFLUENCES | {
        "start": {"task": {"image": "reduced"}}, "softness": {"task": {"soft": True}}}),
    "mix and control_net": (CONTROL_NET | MIX | {"prompt": ""}, MIX_INFLUENCES | {
        "hint": {"task": {"hint": "depth_other"}}, "start": {"task": {"image": "square", "strength": 0.7}}}),
    "prior start": (PLAIN | {"prior_start": {"image": "crop_wide", "strength": 0.2}}, {
        "none": {"prior_start": None}, "picture": {"prior_start": {"image": "crop_tall", "strength": 0.2}},
        "embedding": {"prior_start": {"embedding": "embedding", "strength": 0.2}},
        "strength": {"prior_start": {"image": "crop_wide", "strength": 0.6}},
        "negative prompt": COMMON["negative prompt"]}),
    "negative prior prompt": (PLAIN | {"negative_prior_prompt": "blurry"}, {
        "none": {"negative_prior_prompt": None}, "empty": {"negative_prior_prompt": ""},
        "negative prompt": COMMON["negative prompt"]}),
    "embeddings": (PLAIN | {"image_embedding": "embedding", "negative_image_embedding": "other_embedding"}, {
        "other": {"image_embedding": "other_embedding"}, "no negative": {"negative_image_embedding": None}}),
    "ddim": (PLAIN | {"sampler": "ddim"}, {"eta": {"eta": 0.5}}),
}
# Models in which each of these is looked at; "a" where nothing is said.
TASK_MODELS = {"image_to_image": ("a", "b"), "inpaint": ("inpaint",), "soft inpaint": ("inpaint",),
               "control_net": ("depth",), "control_net from a picture": ("depth",), "ddim": ("a", "b"),
               "mix and inpaint": ("inpaint",), "mix and control_net": ("depth",)}


def changed(request: dict, change: dict) -> dict:
    """`change` applied; of the task only the keys that it names."""
    task = request.get("task", {}) | change.get("task", {})
    return request | change | ({"task": task} if task else {})


def check_models(models: dict[str, reference.Model]) -> list[str]:
    """Fails unless the latents react to each influence by 100 tolerances and rounding stays below a third of one."""
    inputs = reference.Inputs(task_cases.make_inputs())
    report = []
    for name in ("a", "b"):
        report += check_influences(f"{name}: text_to_image", models[name], inputs, PLAIN, COMMON | OTHER_SAMPLERS)
        for change in ({}, {"steps": 30}, {"sampler": "ddim", "steps": 20}):
            expected = models[name].generate(PLAIN | change)
            report.append(check_rounding(f"{name}: {change or 'text_to_image'}", models[name], inputs, PLAIN | change,
                                         expected))
        report.append(check_picture(name, models[name]))
    for what, (base, influences) in TASK_INFLUENCES.items():
        for name in TASK_MODELS.get(what, ("a",)):
            report += check_influences(f"{name}: {what}", models[name], inputs, base, influences)
    return report


def check_influences(what: str, model: reference.Model, inputs: reference.Inputs, base: dict,
                     influences: dict[str, dict]) -> list[str]:
    report = []
    expected = model.generate(base, inputs)["latents"]
    for influence, change in influences.items():
        distance = reference.relative_l2(model.generate(changed(base, change), inputs)["latents"], expected)
        report.append(f"{what}: {influence} changes the latents by {distance:.3f}")
        if not 100 * TOLERANCE < distance < 100:
            raise SystemExit(f"unsuitable weights: {report[-1]}")
    return report


def check_rounding(what: str, model: reference.Model, inputs: reference.Inputs, request: dict, expected: dict) -> str:
    """`expected` is what the usual kernels made of the request."""
    with reference.other_kernels():
        actual = model.generate(request, inputs)
    worst = 0.0
    for name, tolerance in {"latents": TOLERANCE, "pixels": TOLERANCE, "embedding": EMBEDDING_TOLERANCE,
                            "negative_embedding": EMBEDDING_TOLERANCE, "hidden_states": EMBEDDING_TOLERANCE}.items():
        for row in range(len(expected.get(name, []))):
            error = reference.relative_l2(actual[name][row], expected[name][row])
            worst = max(worst, error / tolerance)
    report = f"{what}: other kernels change the result by {worst:.1%} of the tolerance"
    if not worst < 0.3:
        raise SystemExit(f"unsuitable weights: {report}")
    return report


def check_picture(name: str, model: reference.Model) -> str:
    image = model.generate(PLAIN)["image"].float()
    clipped = ((image == 0) | (image == 255)).float().mean()
    report = f"{name}: pictures have spread {image.std():.0f}, {clipped:.1%} of the values clipped"
    if not (image.std() > 20 and clipped < 0.2):
        raise SystemExit(f"unsuitable weights: {report}")
    return report
