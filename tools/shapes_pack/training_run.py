"""One run of a script: its output folder, seed, progress, checkpoints, averages and written components."""

import contextlib
import json
import os
import pathlib
import random
import shutil
import sys
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: idle threads leave the cores to others

import numpy
import torch
from safetensors.torch import save

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "parity"))
import published_configs  # noqa: E402,F401  (for the scripts)

CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
CLIP_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)


def add_common_arguments(parser) -> None:
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=2022)
    parser.add_argument("--force", action="store_true", help="make it again when it is there already")


def add_training_arguments(parser, steps: int) -> None:
    add_common_arguments(parser)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--threads", type=int, default=0, help="0: as torch thinks best")
    parser.add_argument("--report-every", type=int, default=100, metavar="STEPS")
    parser.add_argument("--save-every", type=int, default=500, metavar="STEPS",
                        help="a run that was interrupted goes on from the last saved step")


@contextlib.contextmanager
def output_folder(path: pathlib.Path, force: bool):
    """A folder to write into that takes the name `path` when all is written; None when that is there already."""
    if path.exists() and not force:
        print(f"{path} is there already", flush=True)
        yield None
        return
    partial = path.with_name(path.name + ".partial")
    if force:
        shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, exist_ok=True)
    yield partial
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)


def prepare_torch(seed: int, threads: int) -> None:
    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    if threads:
        torch.set_num_threads(threads)


def write_json(path: pathlib.Path, value: object, indent: int | None = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=indent, sort_keys=indent is not None, ensure_ascii=False)
    path.write_text(text + "\n" * (indent is not None), encoding="utf-8")


def save_component(folder: pathlib.Path, stem: str, config: dict, tensors: dict[str, torch.Tensor]) -> None:
    """config.json and the weights, in half precision."""
    write_json(folder / "config.json", config)
    halves = {name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
              for name, tensor in tensors.items()}
    (folder / f"{stem}.safetensors").write_bytes(save(halves, metadata={"format": "pt"}))


def to_pixels(pictures: list[numpy.ndarray]) -> torch.Tensor:
    """uint8 pictures [H, W, 3] -> float [N, 3, H, W] in 0..1."""
    return torch.from_numpy(numpy.stack(pictures)).permute(0, 3, 1, 2).float() / 255


class Average:
    """Exponential moving average of a module's parameters, which begins quickly."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self._decay = decay
        self._steps = 0
        self.values = {name: value.detach().clone() for name, value in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: torch.nn.Module) -> None:
        self._steps += 1
        keep = min(self._decay, self._steps / (self._steps + 9))
        for name, value in module.named_parameters():
            self.values[name].lerp_(value, 1 - keep)

    @torch.no_grad()
    def copy_to(self, module: torch.nn.Module) -> None:
        for name, value in module.named_parameters():
            value.copy_(self.values[name])

    def state_dict(self) -> dict:
        return {"steps": self._steps, "values": self.values}

    def load_state_dict(self, state: dict) -> None:
        self._steps = state["steps"]
        self.values = state["values"]


class Checkpoint:
    """Saves and restores what a training needs to go on. Everything else must follow from the number of the step."""

    def __init__(self, path: pathlib.Path, settings: dict, **parts) -> None:
        self._path = path
        self._settings = settings
        self._parts = parts

    def restore(self) -> int:
        """The number of finished steps."""
        if not self._path.exists():
            return 0
        saved = torch.load(self._path, weights_only=True)
        if saved["settings"] != self._settings:
            raise SystemExit(f"{self._path} was made with other settings: {saved['settings']}; use --force")
        for name, part in self._parts.items():
            part.load_state_dict(saved[name])
        print(f"goes on after step {saved['step']}", flush=True)
        return saved["step"]

    def save(self, step: int) -> None:
        state = {name: part.state_dict() for name, part in self._parts.items()}
        temporary = self._path.with_suffix(".new")
        torch.save(dict(state, settings=self._settings, step=step), temporary)
        temporary.rename(self._path)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


class Progress:
    """Prints averages of what the steps report, and the time that is left."""

    def __init__(self, steps: int, first: int, every: int) -> None:
        self._steps, self._first, self._every = steps, first, every
        self._start = time.monotonic()
        self._sums: dict[str, float] = {}
        self._count = 0

    def step(self, step: int, **values: float) -> None:
        """After step `step`, counted from 0."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value)
        self._count += 1
        done = step + 1
        if done % self._every and done != self._steps:
            return
        elapsed = time.monotonic() - self._start
        left = elapsed / (done - self._first) * (self._steps - done)
        averages = ", ".join(f"{name} {total / self._count:.4f}" for name, total in self._sums.items())
        print(f"step {done} of {self._steps}: {averages}; {elapsed:.0f} s, {left:.0f} s left", flush=True)
        self._sums, self._count = {}, 0
