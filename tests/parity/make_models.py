#!/usr/bin/env python3
"""Builds tiny Kandinsky 2.2 models with random weights, in the layout of the published repositories.

Usage: make_models.py OUTPUT_DIR [--seed N]

Four models, each a pair of folders `prior` and `decoder`:
- OUTPUT_DIR/models/{prior,decoder}, model "a": the form of the published repositories (configuration files of old
  versions with keys missing, tokenizer as vocab.json + merges.txt, position_ids among the weights, vision tower in half
  precision). Four levels in the U-Net and in the MOVQ: sizes are multiples of 64 pixels.
- OUTPUT_DIR/models/b/{prior,decoder}, model "b": the form that save_pretrained writes today (tokenizer.json). Two
  levels in the U-Net, three in the MOVQ: multiples of 16 pixels. The sampler does not clip and DDIM ends at alpha 1.
  All weights are in half precision.
- OUTPUT_DIR/models/inpaint, model "inpaint", and OUTPUT_DIR/models/depth, model "depth": the U-Nets of the published
  repositories for inpainting (9 channels) and for depth maps (8 channels, 4 of them from the hint), with their
  scheduler files; weights in half precision. The rest is model a's: `prior` and `decoder/movq` are relative links.

Random networks blow up rounding errors when they are sampled from. Here the U-Net has a built-in path from its input
to its output, so that the predicted noise follows the input, and the rest of the network adds to that. checks.py proves
that the result reacts to everything that a request can say, and that rounding errors stay small.
"""

import reference  # before torch: it says how idle threads wait

import argparse
import collections
import json
import pathlib
import shutil
import zlib

import regex
import torch
from diffusers import (DDPMScheduler, KandinskyV22Pipeline, KandinskyV22PriorPipeline, PriorTransformer,
                       UNet2DConditionModel, UnCLIPScheduler, VQModel)
from safetensors.torch import save
from transformers import (CLIPImageProcessor, CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer,
                          CLIPVisionConfig, CLIPVisionModelWithProjection)

import checks
import published_configs
from texts import CORPUS

MODELS = {"a": "models", "b": "models/b", "inpaint": "models/inpaint", "depth": "models/depth"}
EMBEDDING = 32  # width of the image embedding, the text embedding and the text tokens
MERGES = 400


# ---- tokenizer -------------------------------------------------------------------------------------------------------


def byte_symbols() -> list[str]:
    """The 256 printable stand-ins of GPT-2 for bytes, in the order of CLIP's vocabulary."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def byte_to_symbol() -> dict[int, str]:
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    others = [byte for byte in range(256) if byte not in printable]
    return dict(zip(printable + others, byte_symbols()))


def learn_merges(corpus: list[str], count: int) -> list[tuple[str, str]]:
    """Byte-pair encoding: the most frequent pair first, ties in the order of the pairs' text."""
    symbols = byte_to_symbol()
    words = collections.Counter()
    for text in corpus:
        for piece in regex.findall(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+", text.lower()):
            letters = [symbols[byte] for byte in piece.encode()]
            letters[-1] += "</w>"
            words[tuple(letters)] += 1
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for word, frequency in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += frequency
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        merged = collections.Counter()
        for word, frequency in words.items():
            merged[join_pair(word, best)] += frequency
        words = merged
    return merges


def join_pair(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    result, i = [], 0
    while i < len(word):
        if word[i:i + 2] == pair:
            result.append(word[i] + word[i + 1])
            i += 2
        else:
            result.append(word[i])
            i += 1
    return tuple(result)


def tokenizer_files() -> tuple[dict[str, int], list[tuple[str, str]]]:
    merges = learn_merges(CORPUS, MERGES)
    tokens = byte_symbols() + [symbol + "</w>" for symbol in byte_symbols()]
    tokens += ["".join(pair) for pair in merges] + ["<|startoftext|>", "<|endoftext|>"]
    return {token: i for i, token in enumerate(tokens)}, merges


def save_published_tokenizer(folder: pathlib.Path, vocab: dict[str, int], merges: list[tuple[str, str]]) -> None:
    folder.mkdir(parents=True)
    write_json(folder / "vocab.json", vocab, indent=None)
    lines = ["#version: 0.2"] + [" ".join(pair) for pair in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(folder / "special_tokens_map.json", published_configs.SPECIAL_TOKENS_MAP)
    write_json(folder / "tokenizer_config.json", published_configs.TOKENIZER_CONFIG)


# ---- weights ---------------------------------------------------------------------------------------------------------


def randomize(module: torch.nn.Module, seed: int) -> None:
    """Fills every parameter; what a parameter gets depends on its name, its shape and the seed only."""
    norms = tuple(name for name, child in module.named_modules()
                  if isinstance(child, (torch.nn.GroupNorm, torch.nn.LayerNorm)))
    for name, parameter in module.named_parameters():
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
        noise = torch.randn(max(parameter.numel(), 16), generator=generator)[:parameter.numel()].view(parameter.shape)
        if name.rpartition(".")[0] in norms:
            value = 0.1 * noise + (1.0 if name.endswith("weight") else 0.0)
        elif name.endswith("bias"):
            value = 0.1 * noise
        elif name.endswith(("embedding.weight", "embedding", "class_embedding")):
            value = 0.5 * noise
        else:
            value = noise * (parameter[0].numel() ** -0.5)
        parameter.data.copy_(value)


@torch.no_grad()
def shape_prior(prior: PriorTransformer, seed: int) -> None:
    """Makes the last token listen to the text, and the statistics of the embedding anything but 0 and 1."""
    for block in prior.transformer_blocks:
        block.attn1.to_v.weight.mul_(2.0)
        block.attn1.to_out[0].weight.mul_(2.0)
    generator = torch.Generator().manual_seed(seed + 1)
    prior.clip_mean.copy_(0.3 * torch.randn(prior.clip_mean.shape, generator=generator))
    prior.clip_std.copy_(0.5 + torch.rand(prior.clip_std.shape, generator=generator))


@torch.no_grad()
def shape_unet(unet: UNet2DConditionModel) -> None:
    """Gives the U-Net a path from input to output: predicted noise = normalized input + what the network adds.

    Channels 2c and 2c + 1 of conv_in carry +x_c and -x_c. The last residual block receives them as its skip connection
    and its shortcut passes them on. They form a group of conv_norm_out, and SiLU(v) - SiLU(-v) = v undoes the
    activation, so that conv_out finds x_c again.
    """
    latents = 4  # the first channels of the input; an inpainting or depth network has more
    carried = 2 * latents
    base = unet.config.block_out_channels[0]
    assert base // unet.config.norm_num_groups == 2 and base > carried

    unet.conv_in.weight[:carried] *= 0.1
    unet.conv_in.bias[:carried] *= 0.1
    last = unet.up_blocks[-1].resnets[-1]
    last.conv2.weight[:carried] *= 0.1
    last.conv2.bias[:carried] *= 0.1
    last.conv_shortcut.weight[:carried] *= 0.1
    unet.conv_out.weight *= 0.2
    for c in range(latents):
        for channel, sign in ((2 * c, 1.0), (2 * c + 1, -1.0)):
            unet.conv_in.weight[channel, c, 1, 1] += sign
            last.conv_shortcut.weight[channel, base + channel, 0, 0] += 1.0
            unet.conv_out.weight[c, channel, 1, 1] += 0.8 * sign


@torch.no_grad()
def shape_movq(movq: VQModel, seed: int, latent_spread: float) -> None:
    """Spatial norms that scale by about 1, and pictures that use the range without much clipping."""
    for name, parameter in movq.named_parameters():
        if name.endswith("conv_y.bias"):
            parameter.add_(1.0)
        elif name.endswith(("conv_y.weight", "conv_b.weight")):
            parameter.mul_(0.5)
    generator = torch.Generator().manual_seed(seed + 2)
    latents = latent_spread * torch.randn(2, 4, 16, 16, generator=generator)
    decoded = movq.decode(latents, force_not_quantize=True).sample
    movq.decoder.conv_out.weight.mul_(0.45 / decoded.std())


# ---- models ----------------------------------------------------------------------------------------------------------


def unet_config(levels: tuple[int, ...], layers: int) -> dict:
    attention = len(levels) - 1
    return dict(published_configs.UNET_DECODER, block_out_channels=list(levels), layers_per_block=layers,
                norm_num_groups=levels[0] // 2, attention_head_dim=8, cross_attention_dim=16, encoder_hid_dim=EMBEDDING,
                sample_size=8,
                down_block_types=["ResnetDownsampleBlock2D"] + ["SimpleCrossAttnDownBlock2D"] * attention,
                up_block_types=["SimpleCrossAttnUpBlock2D"] * attention + ["ResnetUpsampleBlock2D"])


def movq_config(levels: tuple[int, ...]) -> dict:
    plain = len(levels) - 1
    return dict(published_configs.MOVQ, block_out_channels=list(levels), layers_per_block=1, num_vq_embeddings=16,
                down_block_types=["DownEncoderBlock2D"] * plain + ["AttnDownEncoderBlock2D"],
                up_block_types=["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * plain)


def text_config(vocabulary: int, eos_token_id: int) -> dict:
    return dict(published_configs.TEXT_ENCODER, hidden_size=EMBEDDING, intermediate_size=64, num_attention_heads=2,
                num_hidden_layers=2, projection_dim=EMBEDDING, vocab_size=vocabulary, eos_token_id=eos_token_id)


IMAGE_CONFIG = dict(published_configs.IMAGE_ENCODER, hidden_size=40, intermediate_size=64, num_attention_heads=5,
                    num_hidden_layers=2, projection_dim=EMBEDDING, image_size=28, patch_size=14)
PRIOR_CONFIG = dict(published_configs.PRIOR, embedding_dim=EMBEDDING, num_attention_heads=3, attention_head_dim=16,
                    num_layers=2)
PROCESSOR_CONFIG = dict(published_configs.IMAGE_PROCESSOR, crop_size={"height": 28, "width": 28},
                        size={"shortest_edge": 28})


@torch.no_grad()
def shape_hint(hint_block: torch.nn.Sequential) -> None:
    """Keeps the activations, which shrink with every SiLU, as large as the hint, so that it matters beside the noise."""
    for layer in hint_block:
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.mul_(1.6)


def random_unet(config: dict, seed: int) -> UNet2DConditionModel:
    unet = UNet2DConditionModel.from_config(config).eval()
    randomize(unet, seed)
    shape_unet(unet)
    if config["addition_embed_type"] == "image_hint":
        shape_hint(unet.add_embedding.input_hint_block)
    return unet


class Networks:
    """The five networks of one model, in evaluation mode."""

    def __init__(self, seed: int, unet: dict, movq: dict, text: dict, latent_spread: float) -> None:
        self.text_encoder = CLIPTextModelWithProjection(CLIPTextConfig(**text)).eval()
        self.image_encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**IMAGE_CONFIG)).eval()
        self.prior = PriorTransformer.from_config(PRIOR_CONFIG).eval()
        self.unet = random_unet(unet, seed * 10 + 3)
        self.movq = VQModel.from_config(movq).eval()
        for i, network in {0: self.text_encoder, 1: self.image_encoder, 2: self.prior, 4: self.movq}.items():
            randomize(network, seed * 10 + i)
        shape_prior(self.prior, seed)
        shape_movq(self.movq, seed, latent_spread)


def make_published(output: pathlib.Path, seed: int) -> None:
    """Model "a": files as in the published repositories."""
    vocab, merges = tokenizer_files()
    text = text_config(len(vocab), eos_token_id=2)
    unet = unet_config((16, 24, 24, 32), layers=1)
    movq = movq_config((32, 32, 32, 32))
    networks = Networks(seed, unet, movq, text, latent_spread=0.7)

    prior, decoder = output / "prior", output / "decoder"
    save_published_tokenizer(prior / "tokenizer", vocab, merges)
    write_json(prior / "model_index.json", published_configs.PRIOR_MODEL_INDEX)
    write_json(prior / "scheduler" / "scheduler_config.json", published_configs.PRIOR_SCHEDULER)
    write_json(prior / "image_processor" / "preprocessor_config.json", PROCESSOR_CONFIG)
    text_tensors = networks.text_encoder.state_dict()
    text_tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    image_tensors = {name: tensor.half() for name, tensor in networks.image_encoder.state_dict().items()}
    image_tensors["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    save_component(prior / "text_encoder", "model", text, text_tensors)
    save_component(prior / "image_encoder", "model", dict(IMAGE_CONFIG, torch_dtype="float16"), image_tensors)
    save_component(prior / "prior", "diffusion_pytorch_model", PRIOR_CONFIG, networks.prior.state_dict())

    write_json(decoder / "model_index.json", published_configs.DECODER_MODEL_INDEX)
    write_json(decoder / "scheduler" / "scheduler_config.json", published_configs.DECODER_SCHEDULER)
    save_component(decoder / "unet", "diffusion_pytorch_model", unet, networks.unet.state_dict())
    save_component(decoder / "movq", "diffusion_pytorch_model", movq, networks.movq.state_dict())


def make_current(output: pathlib.Path, seed: int) -> None:
    """Model "b": files as save_pretrained writes them today."""
    vocab, merges = tokenizer_files()
    networks = Networks(seed, unet_config((16, 24), layers=2), movq_config((64, 32, 32)),
                        text_config(len(vocab), eos_token_id=vocab["<|endoftext|>"]), latent_spread=3.0)
    for network in (networks.prior, networks.image_encoder, networks.text_encoder, networks.unet, networks.movq):
        network.half()
    KandinskyV22PriorPipeline(
        prior=networks.prior, image_encoder=networks.image_encoder, text_encoder=networks.text_encoder,
        tokenizer=CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77),
        scheduler=UnCLIPScheduler(variance_type="fixed_small_log", prediction_type="sample", clip_sample_range=10.0),
        image_processor=CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}),
    ).save_pretrained(output / "prior")
    KandinskyV22Pipeline(
        unet=networks.unet, movq=networks.movq,
        scheduler=DDPMScheduler(beta_start=0.00085, beta_end=0.012, steps_offset=1, clip_sample=False),
    ).save_pretrained(output / "decoder")


def make_decoder(output: pathlib.Path, seed: int, unet: dict, model_index: dict,
                 scheduler: dict) -> None:
    """A decoder for one task in the published form, beside the files of model "a" that it shares."""
    decoder = output / "decoder"
    write_json(decoder / "model_index.json", model_index)
    write_json(decoder / "scheduler" / "scheduler_config.json", scheduler)
    tensors = random_unet(unet, seed).state_dict()
    save_component(decoder / "unet", "diffusion_pytorch_model", unet,
                   {name: tensor.half() for name, tensor in tensors.items()})
    (decoder / "movq").symlink_to("../../decoder/movq")
    (output / "prior").symlink_to("../prior")


def make_task_decoders(output: pathlib.Path, seed: int) -> None:
    unet = unet_config((16, 16), layers=1)
    make_decoder(output / MODELS["inpaint"], seed * 10, dict(unet, in_channels=9),
                 published_configs.INPAINT_MODEL_INDEX, published_configs.INPAINT_SCHEDULER)
    make_decoder(output / MODELS["depth"], seed * 10 + 1, dict(unet, in_channels=8, addition_embed_type="image_hint"),
                 published_configs.DEPTH_MODEL_INDEX, published_configs.DECODER_SCHEDULER)


def save_component(folder: pathlib.Path, stem: str, config: dict, tensors: dict[str, torch.Tensor]) -> None:
    write_json(folder / "config.json", config)
    content = save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata={"format": "pt"})
    (folder / f"{stem}.safetensors").write_bytes(content)


def write_json(path: pathlib.Path, value: object, indent: int | None = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=indent, sort_keys=indent is not None, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")


# ---- all of them ------------------------------------------------------------------------------------------------------


def make_models(output: pathlib.Path, seed: int) -> dict[str, reference.Model]:
    """Writes the models and loads them again as diffusers pipelines."""
    shutil.rmtree(output / "models", ignore_errors=True)
    make_published(output / MODELS["a"], seed)
    make_current(output / MODELS["b"], seed + 1)
    make_task_decoders(output, seed + 2)
    for file in (output / "models").rglob("*.safetensors"):
        file.chmod(0o644)
    return {name: reference.Model(output / folder) for name, folder in MODELS.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=2022)
    arguments = parser.parse_args()
    reference.prepare_torch()
    print("\n".join(checks.check_models(make_models(arguments.output, arguments.seed))))


if __name__ == "__main__":
    main()
