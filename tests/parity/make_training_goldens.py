#!/usr/bin/env python3
"""Writes what PyTorch computes in the training steps of diffusers' Kandinsky 2.2 scripts, for the C++ trainer's tests.

Usage: make_training_goldens.py OUTPUT_DIR [--seed N] [--live]

One file for each network and optimizer, e.g. prior_adamw.safetensors: the weights of a tiny random model
("weights.<name>"), STEPS batches with noise and time-steps ("batch.<step>.<name>"), the loss of every step ("losses"),
the gradients of the first step before clipping ("gradients.<name>") and the weights after the last ("after.<name>").
Configuration and hyperparameters are in a JSON file of the same name. --live adds what is too large to be kept.

The loss is that of the scripts (train_text_to_image_prior.py, train_text_to_image_decoder.py): a DDPM scheduler with
squaredcos_cap_v2 and prediction of the sample for the prior, the published linear one and prediction of the noise for the
decoder, min-SNR weighting, gradient clipping. Adafactor is transformers', as the original package configures it.
"""

import reference  # before torch: it says how idle threads wait

import argparse
import json
import pathlib

import torch
from diffusers import DDPMScheduler, PriorTransformer, UNet2DConditionModel
from safetensors.torch import save
from transformers.optimization import Adafactor

STEPS = 20
ROWS = 3
EMBEDDING = 16
TOKENS = 7
MAX_GRADIENT_NORM = 1.0
MOST_ROUNDING = 0.3e-4  # of the tests' tolerance for weights after the last step, 1e-4
ATTEMPTS = 20
RATES = {"adamw": 1e-3, "adafactor": 1e-3}
PRIOR_CONFIG = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 2, "embedding_dim": EMBEDDING,
                "num_embeddings": TOKENS}
UNET_CONFIG = {
    "act_fn": "silu", "addition_embed_type": "image", "attention_head_dim": 8, "block_out_channels": [8, 16],
    "class_embed_type": None, "cross_attention_dim": 8, "down_block_types":
    ["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"], "downsample_padding": 1, "encoder_hid_dim": EMBEDDING,
    "encoder_hid_dim_type": "image_proj", "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4,
    "layers_per_block": 1, "mid_block_scale_factor": 1, "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "norm_eps": 1e-05, "norm_num_groups": 4, "only_cross_attention": False, "out_channels": 8,
    "resnet_time_scale_shift": "scale_shift", "sample_size": 8, "up_block_types":
    ["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"]}


def signal_to_noise(schedule: DDPMScheduler, timesteps: torch.Tensor) -> torch.Tensor:
    kept = schedule.alphas_cumprod[timesteps]
    return kept / (1 - kept)


def weighted(prediction: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """The scripts' loss: a mean over each row first when rows are weighted."""
    if weights is None:
        return torch.nn.functional.mse_loss(prediction.float(), target.float(), reduction="mean")
    loss = torch.nn.functional.mse_loss(prediction.float(), target.float(), reduction="none")
    return (loss.mean(dim=list(range(1, loss.dim()))) * weights).mean()


class Prior:
    """What the prior's script trains."""

    config = PRIOR_CONFIG
    schedule = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="sample")

    def __init__(self, generator: torch.Generator) -> None:
        self.network = PriorTransformer(**self.config)
        with torch.no_grad():
            self.network.clip_mean.copy_(torch.randn(1, EMBEDDING, generator=generator) * 0.3)
            self.network.clip_std.copy_(torch.rand(1, EMBEDDING, generator=generator) + 0.5)
            self.network.prd_embedding.normal_(generator=generator)
            self.network.positional_embedding.normal_(generator=generator)

    def draw(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        lengths = torch.randint(2, TOKENS + 1, (ROWS, 1), generator=generator)
        return {
            "image_embeds": torch.randn(ROWS, EMBEDDING, generator=generator),
            "text_embeds": torch.randn(ROWS, EMBEDDING, generator=generator),
            "text_hidden": torch.randn(ROWS, TOKENS, EMBEDDING, generator=generator),
            "text_mask": (torch.arange(TOKENS).unsqueeze(0) < lengths).to(torch.uint8),
            "noise": torch.randn(ROWS, EMBEDDING, generator=generator),
            "timesteps": torch.randint(0, 1000, (ROWS,), generator=generator),
        }

    def loss(self, batch: dict[str, torch.Tensor], snr_gamma: float) -> torch.Tensor:
        target = (batch["image_embeds"] - self.network.clip_mean.detach()) / self.network.clip_std.detach()
        noisy = self.schedule.add_noise(target, batch["noise"], batch["timesteps"])
        predicted = self.network(noisy, timestep=batch["timesteps"], proj_embedding=batch["text_embeds"],
                                 encoder_hidden_states=batch["text_hidden"],
                                 attention_mask=batch["text_mask"].bool()).predicted_image_embedding
        weights = None
        if snr_gamma > 0:
            weights = signal_to_noise(self.schedule, batch["timesteps"]).clamp(max=snr_gamma)
        return weighted(predicted, target, weights)


class Decoder:
    """What the decoder's script trains."""

    config = UNET_CONFIG
    schedule = DDPMScheduler(beta_schedule="linear", beta_start=0.00085, beta_end=0.012)

    def __init__(self, generator: torch.Generator) -> None:
        self.network = UNet2DConditionModel(**self.config)

    def predict(self, noisy: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.network(noisy, batch["timesteps"], None,
                            added_cond_kwargs={"image_embeds": batch["image_embeds"]}).sample

    def draw(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {
            "latents": torch.randn(ROWS, 4, 8, 8, generator=generator),
            "image_embeds": torch.randn(ROWS, EMBEDDING, generator=generator),
            "noise": torch.randn(ROWS, 4, 8, 8, generator=generator),
            "timesteps": torch.randint(0, 1000, (ROWS,), generator=generator),
        }

    def loss(self, batch: dict[str, torch.Tensor], snr_gamma: float) -> torch.Tensor:
        noisy = self.schedule.add_noise(batch["latents"], batch["noise"], batch["timesteps"])
        predicted = self.predict(noisy, batch)[:, :4]
        weights = None
        if snr_gamma > 0:
            snr = signal_to_noise(self.schedule, batch["timesteps"])
            weights = snr.clamp(max=snr_gamma) / snr
        return weighted(predicted, batch["noise"], weights)


class Inpainting(Decoder):
    """The same with kept picture and mask behind the noisy latents."""

    config = UNET_CONFIG | {"in_channels": 9}

    def draw(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return super().draw(generator) | {"further_channels": torch.randn(ROWS, 5, 8, 8, generator=generator)}

    def predict(self, noisy: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return super().predict(torch.cat([noisy, batch["further_channels"]], dim=1), batch)


class Depth(Decoder):
    """The same with a hint, whose block learns too."""

    config = UNET_CONFIG | {"in_channels": 8, "addition_embed_type": "image_hint"}

    def draw(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return super().draw(generator) | {"hint": torch.rand(ROWS, 3, 64, 64, generator=generator)}

    def predict(self, noisy: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        conditions = {"image_embeds": batch["image_embeds"], "hint": batch["hint"]}
        return self.network(noisy, batch["timesteps"], None, added_cond_kwargs=conditions).sample


def make_optimizer(kind: str, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    if kind == "adafactor":
        return Adafactor(parameters, lr=RATES[kind], weight_decay=0.0, scale_parameter=False, relative_step=False)
    return torch.optim.AdamW(parameters, lr=RATES[kind], betas=(0.9, 0.999), weight_decay=0.01, eps=1e-8)


def record(target: type, kind: str, snr_gamma: float, seed: int) -> tuple[dict, dict[str, torch.Tensor]]:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    task = target(generator)
    network = task.network.train()
    tensors = {f"weights.{name}": value.detach().clone() for name, value in network.named_parameters()}
    optimizer = make_optimizer(kind, list(network.parameters()))
    losses = []
    for step in range(STEPS):
        batch = task.draw(generator)
        tensors |= {f"batch.{step}.{name}": value for name, value in batch.items()}
        loss = task.loss(batch, snr_gamma)
        losses.append(loss.item())
        loss.backward()
        if step == 0:
            tensors |= {f"gradients.{name}": value.grad.clone() for name, value in network.named_parameters()
                        if value.grad is not None}
        torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        optimizer.zero_grad()
    tensors |= {f"after.{name}": value.detach() for name, value in network.named_parameters()}
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    facts = {"config": task.config, "snr_gamma": snr_gamma, "steps": STEPS, "learning_rate": RATES[kind],
             "optimizer": kind, "weight_decay": 0.01 if kind == "adamw" else 0.0,
             "max_gradient_norm": MAX_GRADIENT_NORM}
    return facts, tensors


def rounding(tensors: dict[str, torch.Tensor], again: dict[str, torch.Tensor]) -> float:
    """The largest relative difference of the weights after the last step. Attention does not depend on the bias of its
    keys, whose gradients are rounding errors and nothing else."""
    names = [name for name in tensors if name.startswith("after.") and not name.endswith("attn1.to_k.bias")]
    return max(reference.relative_l2(again[name], tensors[name]) for name in names)


def record_steadily(target: type, kind: str, snr_gamma: float, seed: int) -> tuple[dict, dict[str, torch.Tensor]]:
    """With weights and batches for which PyTorch itself, with other kernels, comes to the same: AdamW divides gradients
    by their own size, so that now and then a rounding error of one step decides where a weight goes."""
    for attempt in range(ATTEMPTS):
        facts, tensors = record(target, kind, snr_gamma, seed + 1000003 * attempt)
        with reference.other_kernels():
            again = record(target, kind, snr_gamma, seed + 1000003 * attempt)[1]
        if rounding(tensors, again) < MOST_ROUNDING:
            return facts, tensors
    raise SystemExit(f"{target.__name__}: no steady training in {ATTEMPTS} attempts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=2022)
    parser.add_argument("--live", action="store_true")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    cases = [("prior", Prior, "adamw", 0.0), ("prior", Prior, "adafactor", 5.0),
             ("decoder", Decoder, "adamw", 5.0), ("decoder", Decoder, "adafactor", 0.0),
             ("inpaint", Inpainting, "adamw", 5.0)]
    if arguments.live:
        cases.append(("depth", Depth, "adamw", 0.0))
    for name, target, kind, snr_gamma in cases:
        facts, tensors = record_steadily(target, kind, snr_gamma, arguments.seed)
        path = arguments.output / f"{name}_{kind}"
        path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        path.with_suffix(".safetensors").write_bytes(
            save({name: value.contiguous() for name, value in tensors.items()}))


if __name__ == "__main__":
    main()
