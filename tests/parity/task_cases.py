"""The requests beyond plain text to image: every task, and every way to ask for it."""

import json
import zlib

import torch
from PIL import Image

import pictures
import reference

CLIP_SIZE = 28  # of the tiny vision towers


# ---- inputs ----------------------------------------------------------------------------------------------------------


def draw(name: str, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


class Catalogue:
    """Collects the tensors of README.md, `inputs.X` and `sources.X`."""

    def __init__(self) -> None:
        self.tensors = {}

    def add(self, name: str, value: torch.Tensor, source: torch.Tensor | None = None) -> None:
        self.tensors[f"inputs.{name}"] = value
        if source is not None:
            self.tensors[f"sources.{name}"] = source

    def add_picture(self, name: str, width: int, height: int, source: Image.Image | None = None) -> None:
        """A picture of the request's size, or one that is resized to it."""
        if source is None:
            self.add(name, pictures.as_tensor(pictures.picture(name, width, height)))
        else:
            fitted = pictures.fitted(source, width, height)
            self.add(name, pictures.as_tensor(fitted), pictures.as_tensor(source))

    def add_mask(self, name: str, width: int, height: int, source: Image.Image) -> None:
        fitted = pictures.fitted_mask(source, width, height)
        same = source.size == fitted.size
        self.add(name, pictures.as_tensor(fitted), None if same else pictures.as_tensor(source))

    def add_crop(self, name: str, source: Image.Image) -> None:
        self.add(name, pictures.as_tensor(pictures.cropped(source, CLIP_SIZE)), pictures.as_tensor(source))

    def add_depth(self, name: str, width: int, height: int, largest: int) -> None:
        depth = pictures.depth(width, height, largest)
        hint = torch.from_numpy(depth.astype("float64") / largest).float()
        self.add(name, hint.expand(3, -1, -1).contiguous(), pictures.as_tensor(depth))


def make_inputs(cases: list[dict] | None = None) -> dict[str, torch.Tensor]:
    """All inputs, or those of the cases; the same for every model seed."""
    catalogue = Catalogue()
    catalogue.add_picture("square", 64, 64)
    catalogue.add_picture("wide", 128, 64)
    catalogue.add_picture("wide_96", 96, 64)
    catalogue.add_picture("reduced", 64, 64, pictures.picture("reduced", 150, 130))
    catalogue.add_picture("reduced_tall", 64, 64, pictures.picture("reduced_tall", 90, 120))
    catalogue.add_picture("enlarged_tall", 64, 128, pictures.picture("enlarged", 40, 100))
    catalogue.add_mask("disc", 64, 64, pictures.disc_mask(64, 64, edge=0.0))
    catalogue.add_mask("disc_wide", 128, 64, pictures.disc_mask(128, 64, edge=0.1))
    # A mask has the size of its picture.
    catalogue.add_mask("disc_reduced", 64, 64, pictures.disc_mask(150, 130, edge=0.3))
    catalogue.add_mask("disc_reduced_tall", 64, 64, pictures.disc_mask(90, 120, edge=0.3))
    catalogue.add_mask("soft_disc", 64, 64, pictures.disc_mask(64, 64, edge=0.4))
    catalogue.add_mask("soft_disc_tall", 64, 128, pictures.disc_mask(40, 100, edge=0.5))
    catalogue.add_mask("nothing", 64, 64, Image.new("L", (64, 64), 0))
    catalogue.add_mask("everything", 64, 64, Image.new("L", (64, 64), 255))
    catalogue.add_crop("crop_wide", pictures.picture("crop_wide", 101, 70))
    catalogue.add_crop("crop_tall", pictures.picture("crop_tall", 48, 75))
    catalogue.add_crop("crop_reduced_tall", pictures.picture("crop_reduced_tall", 63, 128))
    catalogue.add_crop("crop_small", pictures.picture("crop_small", 20, 20))
    catalogue.add_crop("crop_transparent", pictures.picture("crop_transparent", 60, 90, "RGBA"))
    catalogue.add_depth("depth", 64, 64, 255)
    catalogue.add_depth("depth_16_bits", 128, 64, 65535)
    catalogue.add("depth_floats", (0.5 + 0.2 * draw("depth_floats", 3, 128, 64)).clamp(0, 1))
    catalogue.add("depth_other", 1 - catalogue.tensors["inputs.depth"])
    catalogue.add("embedding", 0.7 * draw("embedding", 32))
    catalogue.add("other_embedding", 0.7 * draw("other_embedding", 32))
    catalogue.add("pixels", draw("pixels", 3, 128, 64).clamp(-1, 1))
    catalogue.add("latents", draw("latents", 4, 8, 16))
    catalogue.add("latents_quarter", draw("latents_quarter", 4, 16, 24))
    if cases is None:
        return catalogue.tensors
    named = json.dumps(cases)
    return {name: tensor for name, tensor in catalogue.tensors.items() if f'"{name.partition(".")[2]}"' in named}


# ---- cases -----------------------------------------------------------------------------------------------------------


def case(name: str, model: str, kind: str, task: dict | None = None, **changes: object) -> dict:
    """`changes` of reference.DEFAULTS; `task` are the keys beside its kind."""
    assert changes.keys() <= reference.DEFAULTS.keys()
    request = reference.DEFAULTS | changes | {"task": {"kind": kind} | (task or {})}
    return {"name": name, "model": model, "request": request}


def sampler_cases() -> list[dict]:
    def plain(name: str, model: str, **changes: object) -> dict:
        return case(name, model, "text_to_image", prompt="a lighthouse at night", steps=8, **changes)

    return [
        plain("ddpm", "a", sampler="ddpm", seeds=[100]),
        plain("ddim_eta", "a", sampler="ddim", eta=0.6, seeds=[101]),
        plain("ddim_eta_one_not_clipped", "b", sampler="ddim", eta=1.0, seeds=[102]),
        plain("ddpm_learned_range", "a", sampler="ddpm_learned_range", seeds=[103]),
        plain("ddpm_learned_range_no_guidance", "b", sampler="ddpm_learned_range", guidance_scale=1.0, seeds=[104]),
        plain("euler", "a", sampler="euler", seeds=[105]),
        plain("euler_negative", "b", sampler="euler", negative_prompt="blurry", seeds=[106]),
        plain("euler_ancestral", "a", sampler="euler_ancestral", seeds=[107, 108]),
        plain("euler_ancestral_not_clipped", "b", sampler="euler_ancestral", width=96, seeds=[109]),
        plain("dpm_solver_multistep", "a", sampler="dpm_solver_multistep", seeds=[110]),
        plain("dpm_solver_multistep_not_clipped", "b", sampler="dpm_solver_multistep", negative_prompt="", seeds=[111]),
    ]


def negative_cases() -> list[dict]:
    def text(name: str, **changes: object) -> dict:
        return case(name, "a", "text_to_image", prompt="red cat, 4k photo", **changes)

    return [
        text("negative_prior_empty", negative_prior_prompt="", seeds=[120]),
        text("negative_prior", negative_prior_prompt="low quality", seeds=[121, 122]),
        text("negative_prior_and_negative", negative_prior_prompt="low quality", negative_prompt="bad anatomy",
             seeds=[123]),
        text("negative_prior_and_empty_negative", negative_prior_prompt="blurry", negative_prompt="", seeds=[124]),
        text("negative_prior_no_prior_guidance", negative_prior_prompt="blurry", negative_prompt="ugly",
             prior_guidance_scale=1.0, seeds=[125]),
        text("negative_prior_no_guidance", negative_prior_prompt="blurry", negative_prompt="ugly", guidance_scale=1.0,
             seeds=[126]),
        case("image_embedding", "a", "text_to_image", image_embedding="embedding", seeds=[127]),
        case("both_embeddings", "a", "text_to_image", image_embedding="embedding",
             negative_image_embedding="other_embedding", seeds=[128, 129]),
        text("negative_embedding_only", negative_image_embedding="other_embedding", seeds=[130]),
        text("negative_embedding_and_prompt", negative_image_embedding="other_embedding", negative_prompt="blurry",
             seeds=[131]),
    ]


def prior_start_cases() -> list[dict]:
    def text(name: str, start: dict, **changes: object) -> dict:
        return case(name, "a", "text_to_image", prompt="a bird on a branch", prior_start=start, **changes)

    return [
        text("prior_start_picture", {"image": "crop_wide", "strength": 0.5}, prior_steps=6, seeds=[140]),
        text("prior_start_picture_negative", {"image": "crop_tall", "strength": 0.8}, negative_prompt="low quality",
             seeds=[141, 142]),
        text("prior_start_embedding", {"embedding": "embedding", "strength": 0.3}, prior_steps=10, seeds=[143]),
        text("prior_start_embedding_empty_negative", {"embedding": "embedding", "strength": 1.0}, negative_prompt="",
             seeds=[144]),
        text("prior_start_five_of_six_steps", {"image": "crop_reduced_tall", "strength": 5 / 6}, prior_steps=6,
             seeds=[146]),
        text("prior_start_no_prior_guidance", {"image": "crop_small", "strength": 0.6}, prior_guidance_scale=1.0,
             seeds=[145]),
    ]


def image_to_image_cases() -> list[dict]:
    def change(name: str, image: str, strength: float, model: str = "a", **changes: object) -> dict:
        return case(name, model, "image_to_image", {"image": image, "strength": strength},
                    **({"prompt": "a castle on a hill", "steps": 8} | changes))

    return [
        change("image_to_image", "square", 0.5, seeds=[200]),
        change("image_to_image_reduced", "reduced", 0.3, steps=10, seeds=[201]),
        change("image_to_image_reduced_tall", "reduced_tall", 0.3, steps=10, seeds=[218]),
        change("image_to_image_five_of_six_steps", "square", 5 / 6, steps=6, seeds=[219]),
        change("image_to_image_wide_negative", "wide", 0.7, width=128, negative_prompt="blurry", seeds=[202]),
        change("image_to_image_enlarged_tall", "enlarged_tall", 0.6, height=128, seeds=[203, 204]),
        change("image_to_image_all_steps", "square", 1.0, seeds=[205]),
        change("image_to_image_one_step", "square", 0.2, steps=5, seeds=[206]),
        change("image_to_image_no_guidance", "square", 0.5, guidance_scale=1.0, seeds=[207]),
        change("image_to_image_not_clipped", "wide_96", 0.4, "b", width=96, steps=10, seeds=[208, 209]),
        change("image_to_image_embedding", "square", 0.5, prompt="", image_embedding="embedding", seeds=[210]),
        change("image_to_image_prior_start", "square", 0.5, prior_start={"image": "crop_wide", "strength": 0.8},
               seeds=[211]),
        change("image_to_image_negative_prior", "reduced", 0.5, negative_prior_prompt="low quality",
               negative_prompt="blurry", seeds=[212]),
        change("image_to_image_ddim", "square", 0.75, sampler="ddim", seeds=[213]),
        change("image_to_image_learned_range", "square", 0.5, sampler="ddpm_learned_range", seeds=[214]),
        change("image_to_image_euler", "square", 0.5, sampler="euler", seeds=[215]),
        change("image_to_image_euler_ancestral", "square", 0.5, "b", sampler="euler_ancestral", seeds=[216]),
        change("image_to_image_dpm_solver", "square", 0.5, sampler="dpm_solver_multistep", seeds=[217]),
    ]


def inpaint_cases() -> list[dict]:
    def paint(name: str, image: str, mask: str, soft: bool = False, **changes: object) -> dict:
        return case(name, "inpaint", "inpaint", {"image": image, "mask": mask, "soft": soft},
                    **({"prompt": "a hat"} | changes))

    return [
        paint("inpaint", "square", "disc", seeds=[300]),
        paint("inpaint_reduced_negative", "reduced", "disc_reduced", negative_prompt="blurry", seeds=[301, 302]),
        paint("inpaint_reduced_tall", "reduced_tall", "disc_reduced_tall", seeds=[319]),
        paint("inpaint_wide", "wide", "disc_wide", width=128, seeds=[303]),
        paint("inpaint_nothing", "square", "nothing", seeds=[304]),
        paint("inpaint_everything", "square", "everything", seeds=[305]),
        paint("inpaint_no_guidance", "square", "disc", guidance_scale=1.0, seeds=[306]),
        paint("inpaint_many_steps", "square", "disc", steps=20, seeds=[307]),
        paint("inpaint_embedding", "square", "disc", prompt="", image_embedding="embedding",
              negative_image_embedding="other_embedding", seeds=[308]),
        paint("inpaint_negative_prior", "square", "disc", negative_prior_prompt="", negative_prompt="ugly",
              seeds=[309]),
        paint("inpaint_soft", "square", "soft_disc", soft=True, seeds=[310]),
        paint("inpaint_soft_tall", "enlarged_tall", "soft_disc_tall", soft=True, height=128, seeds=[311, 312]),
        paint("inpaint_soft_hard_edge", "square", "disc", soft=True, seeds=[313]),
        paint("inpaint_ddim", "square", "disc", sampler="ddim", seeds=[314]),
        paint("inpaint_soft_dpm_solver", "square", "soft_disc", soft=True, sampler="dpm_solver_multistep", steps=8,
              seeds=[315]),
        paint("inpaint_learned_range", "square", "disc", sampler="ddpm_learned_range", seeds=[316]),
        paint("inpaint_euler", "square", "disc", sampler="euler", steps=8, seeds=[317]),
        paint("inpaint_euler_ancestral", "square", "disc", sampler="euler_ancestral", steps=8, seeds=[318]),
    ]


def mix_cases() -> list[dict]:
    def mix(name: str, parts: list[dict], model: str = "a", **changes: object) -> dict:
        return case(name, model, "text_to_image", mix=parts, **changes)

    def change(name: str, parts: list[dict], image: str, strength: float, model: str = "a", **changes: object) -> dict:
        return case(name, model, "image_to_image", {"image": image, "strength": strength}, mix=parts, **changes)

    def paint(name: str, parts: list[dict], mask: str, soft: bool = False, **changes: object) -> dict:
        return case(name, "inpaint", "inpaint", {"image": "square", "mask": mask, "soft": soft}, mix=parts, **changes)

    def follow(name: str, parts: list[dict], image: str | None = None, strength: float | None = None,
               **changes: object) -> dict:
        return case(name, "depth", "control_net", {"hint": "depth", "image": image, "strength": strength}, mix=parts,
                    **changes)

    def embed(name: str, parts: list[dict], model: str = "a", **changes: object) -> dict:
        return case(name, model, "embed_prompt", mix=parts, **changes)

    cat = {"text": "red cat, 4k photo", "weight": 0.6}
    house = {"text": "a small house in the forest", "weight": 0.4}
    wide, tall = {"image": "crop_wide", "weight": 0.7}, {"image": "crop_tall", "weight": -0.3}
    transparent, small = {"image": "crop_transparent", "weight": 0.5}, {"image": "crop_small", "weight": 0.5}
    embedding = {"embedding": "embedding", "weight": 0.5}
    return [
        mix("mix_texts", [cat, house], seeds=[400]),
        mix("mix_picture", [wide | {"weight": 1.0}], seeds=[401]),
        mix("mix_pictures", [transparent, small, tall], seeds=[402]),
        mix("mix_text_and_pictures", [wide, cat, tall], seeds=[403, 404]),
        mix("mix_negative_weight", [cat | {"weight": 1.2}, house | {"weight": -0.4}], seeds=[405]),
        mix("mix_negative_prompt", [cat, wide], negative_prompt="low quality", seeds=[406]),
        mix("mix_negative_prior_prompt", [cat, wide, house], negative_prior_prompt="blurry", seeds=[407]),
        mix("mix_both_negatives", [wide, cat], negative_prompt="low quality", negative_prior_prompt="blurry",
            seeds=[408]),
        mix("mix_pictures_negative_prompt", [wide, tall], negative_prompt="low quality", seeds=[409]),
        mix("mix_embedding", [cat, embedding], seeds=[410]),
        mix("mix_no_guidance", [cat, wide], guidance_scale=1.0, seeds=[411]),
        mix("mix_no_prior_guidance", [cat, house], negative_prior_prompt="blurry", prior_guidance_scale=1.0,
            seeds=[412]),
        mix("mix_negative_embedding", [cat, small], negative_image_embedding="other_embedding", seeds=[413]),
        mix("mix_ddim", [house, wide], "b", sampler="ddim", negative_prompt="ugly", seeds=[414]),
        change("mix_image_to_image", [cat, wide], "square", 0.5, steps=8, seeds=[420, 421]),
        change("mix_image_to_image_negative_prior", [cat, house], "reduced", 0.5, steps=8,
               negative_prior_prompt="blurry", seeds=[422]),
        change("mix_image_to_image_both_negatives", [tall, cat], "square", 0.7, "b", negative_prompt="low quality",
               negative_prior_prompt="blurry", sampler="euler_ancestral", seeds=[423]),
        change("mix_image_to_image_pictures", [small, transparent], "enlarged_tall", 0.6, height=128, seeds=[424]),
        paint("mix_inpaint", [cat, wide], "disc", seeds=[425, 426]),
        paint("mix_inpaint_negative_prompt", [wide, house], "disc", negative_prompt="ugly", seeds=[427]),
        paint("mix_inpaint_embedding", [cat, embedding], "disc", negative_prior_prompt="blurry", seeds=[428]),
        paint("mix_inpaint_soft", [cat, tall], "soft_disc", soft=True, negative_prior_prompt="", seeds=[429]),
        follow("mix_control_net", [cat, wide], seeds=[430, 431]),
        follow("mix_control_net_both_negatives", [house, cat], negative_prompt="low quality",
               negative_prior_prompt="blurry", seeds=[432]),
        follow("mix_control_net_picture", [cat, wide], "square", 0.5, steps=8, seeds=[433]),
        follow("mix_control_net_picture_negative_prior", [small, house], "reduced", 0.7,
               negative_prior_prompt="blurry", sampler="ddim", seeds=[434]),
        embed("mix_embed", [cat, wide, house], seeds=[440, 441]),
        embed("mix_embed_negative_prompt", [wide, cat], negative_prompt="low quality", seeds=[442]),
        embed("mix_embed_negative_prior", [cat, tall], "b", negative_prior_prompt="blurry", seeds=[443]),
        embed("mix_embed_both_negatives", [cat, embedding], negative_prompt="low quality",
              negative_prior_prompt="blurry", prior_steps=8, seeds=[444]),
        embed("mix_embed_no_prior_guidance", [cat, house], negative_prior_prompt="blurry", prior_guidance_scale=1.0,
              seeds=[445]),
        embed("mix_embed_pictures", [transparent, tall], seeds=[446]),
        embed("mix_embed_pictures_negative_prompt", [small, wide], negative_prompt="low quality", seeds=[447]),
    ]


def control_net_cases() -> list[dict]:
    def follow(name: str, hint: str, image: str | None = None, strength: float | None = None,
               **changes: object) -> dict:
        return case(name, "depth", "control_net", {"hint": hint, "image": image, "strength": strength},
                    **({"prompt": "a robot, 4k photo"} | changes))

    return [
        follow("control_net", "depth", seeds=[500]),
        follow("control_net_16_bits_negative", "depth_16_bits", width=128, negative_prompt="low quality", seeds=[501]),
        follow("control_net_floats", "depth_floats", height=128, seeds=[502, 503]),
        follow("control_net_no_guidance", "depth", guidance_scale=1.0, seeds=[504]),
        follow("control_net_embedding", "depth", prompt="", image_embedding="embedding", seeds=[505]),
        follow("control_net_picture", "depth", "square", 0.5, steps=8, seeds=[506]),
        follow("control_net_picture_tall", "depth_floats", "enlarged_tall", 0.7, height=128,
               prior_start={"image": "crop_tall", "strength": 0.85}, negative_prompt="ugly", seeds=[507]),
        follow("control_net_picture_ddim", "depth", "reduced", 0.5, sampler="ddim", steps=8, seeds=[508]),
        follow("control_net_euler_ancestral", "depth", sampler="euler_ancestral", steps=8, seeds=[509]),
        follow("control_net_dpm_solver", "depth", sampler="dpm_solver_multistep", seeds=[510]),
    ]


def single_network_cases() -> list[dict]:
    cat = {"prompt": "red cat, 4k photo"}
    return [
        case("embed_text", "a", "embed_text", **cat),
        case("embed_text_empty", "a", "embed_text"),
        case("embed_text_long", "a", "embed_text", prompt="ёжик в тумане, " * 20),
        case("embed_text_other_end_token", "b", "embed_text", prompt="👩‍🚀 in space"),
        case("embed_image_wide", "a", "embed_image", {"image": "crop_wide"}),
        case("embed_image_tall", "a", "embed_image", {"image": "crop_tall"}),
        case("embed_image_transparent", "b", "embed_image", {"image": "crop_transparent"}),
        case("embed_prompt", "a", "embed_prompt", seeds=[600, 601], **cat),
        case("embed_prompt_negative", "a", "embed_prompt", negative_prompt="low quality", seeds=[602], **cat),
        case("embed_prompt_negative_prior", "a", "embed_prompt", negative_prior_prompt="blurry",
             negative_prompt="low quality", seeds=[603], **cat),
        case("embed_prompt_start", "a", "embed_prompt", prior_start={"image": "crop_wide", "strength": 0.6},
             negative_prompt="low quality", seeds=[604], **cat),
        case("embed_prompt_many_steps", "b", "embed_prompt", prior_steps=25, prior_guidance_scale=2.0, seeds=[605],
             **cat),
        case("encode_latents", "a", "encode_latents", {"image": "reduced"}),
        case("encode_latents_quarter", "b", "encode_latents", {"image": "wide_96"}, width=96),
        case("encode_latents_pixels", "a", "encode_latents", {"pixels": "pixels"}, width=64, height=128),
        case("decode_latents", "a", "decode_latents", {"latents": "latents"}, width=128),
        case("decode_latents_quarter", "b", "decode_latents", {"latents": "latents_quarter"}, width=96),
    ]


def task_cases() -> list[dict]:
    return (sampler_cases() + negative_cases() + prior_start_cases() + image_to_image_cases() + inpaint_cases() +
            mix_cases() + control_net_cases() + single_network_cases())
