#!/usr/bin/env python3
"""Makes the shapes models from nothing: pictures, CLIP, MOVQ, prior, and the U-Nets of three tasks.

Usage: make_pack.py WORK --train KANDINSKY_TRAIN [--install MODELS_FOLDER] [--scale X]

WORK gets a folder for each stage, WORK/log/STAGE.log, and at last WORK/pack: the folder of models that the repository
holds. --install replaces MODELS_FOLDER's weights, tokenizers and configurations by them and leaves other files alone.
A stage whose result is there is not repeated, and an interrupted training goes on from its last checkpoint. Two stages
run at a time, one thread each. --scale makes every training shorter (0.01: a try of the script in a few minutes).

The prior and the U-Nets are trained by kandinsky-train. The U-Net for text to image learns first; those for inpainting
and depth maps begin with its weights.
"""

import argparse
import dataclasses
import pathlib
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PICTURES = 20000
CHECKPOINT_STEPS = 500


@dataclasses.dataclass(frozen=True)
class Training:
    """A run of kandinsky-train."""
    name: str
    model: str  # folder in WORK with prior/ and decoder/
    target: str
    steps: int
    batch: int
    further: tuple[str, ...] = ()  # --set of this run
    data: str = "dataset"  # in WORK


PRIOR = Training("prior", "untrained", "TRAINING_TARGET_PRIOR", 3000, 64, ("from_scratch=true",))
U_NET = ("snr_gamma=5", "embedding_noise=0.25", "embedding_dropout=0.1")
# A picture's own embedding says all that its hint says, so the network would not look at the hint: most samples see
# the embedding of another picture of the same look.
HINTED = (*U_NET, "embedding_exchange=0.75", "data.max_samples=6000")
DECODER = Training("decoder", "untrained", "TRAINING_TARGET_DECODER", 7500, 32, ("from_scratch=true", *U_NET))
INPAINT = Training("inpaint", "begun/inpaint", "TRAINING_TARGET_DECODER", 2500, 32, U_NET)
DEPTH = Training("depth", "begun/depth", "TRAINING_TARGET_DECODER", 500, 32, HINTED, "dataset/looks.jsonl")


class Pack:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._work = arguments.work.resolve()
        (self._work / "log").mkdir(parents=True, exist_ok=True)

    def make(self) -> None:
        self._together([self._dataset, self._clip], [self._movq])
        self._layout("untrained", "clip", "movq")
        self._together([lambda: self._train(PRIOR)], [lambda: self._train(DECODER)])
        self._layout("begun", "prior/model/prior", "movq", unet="decoder/model/decoder/unet")
        self._together([lambda: self._train(INPAINT)], [lambda: self._train(DEPTH)])
        self._assemble()
        if self._arguments.install:
            install(self._work / "pack", self._arguments.install)

    # ---- stages ----

    def _dataset(self) -> None:
        self._script("dataset", "make_dataset.py", "--count", self._scaled(PICTURES))

    def _clip(self) -> None:
        further = [] if self._arguments.scale == 1 else ["--steps", self._scaled(4000), "--reading-steps",
                                                         self._scaled(800), "--judge-count", self._scaled(300)]
        self._script("clip", "train_clip.py", "--threads", 1, *further)

    def _movq(self) -> None:
        further = [] if self._arguments.scale == 1 else ["--steps", self._scaled(2000)]
        self._script("movq", "train_movq.py", "--threads", 1, *further)

    def _layout(self, stage: str, prior: str, movq: str, unet: str = "") -> None:
        further = ["--unet", self._work / unet] if unet else []
        self._script(stage, "build_layout.py", "--prior", self._work / prior, "--movq", self._work / movq, *further)

    def _train(self, training: Training) -> None:
        output = self._work / training.name
        if (output / "model").exists():
            return
        steps = self._scaled(training.steps)
        settings = [
            f"target={training.target}", f"decoder_path={self._work / training.model}", f"output_folder={output}",
            f"data.path={self._work / training.data}", f"data.cache_folder={self._work / 'features'}",
            "data.resolution=64", f"batch_size={training.batch}", f"max_steps={steps}", "threads=1", "seed=2022",
            "optimizer.learning_rate=0.001", "schedule.kind=SCHEDULE_KIND_COSINE",
            f"schedule.warmup_steps={self._scaled(200)}", "ema.decay=0.998", "stored_type=STORED_TYPE_FLOAT16",
            f"checkpoints.every_steps={CHECKPOINT_STEPS}", "checkpoints.keep=1", "log_every_steps=50",
            *training.further]
        if output.exists() and any(output.glob("checkpoint-*")):
            settings.append("checkpoints.resume=latest")
        self._run(training.name, [self._arguments.train, *(part for line in settings for part in ("--set", line))])

    def _assemble(self) -> None:
        """What the stages made, without what only training needs."""
        partial = self._work / "pack.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(self._work / "begun", partial, symlinks=True)
        for task in ("inpaint", "depth"):
            name = pathlib.Path("decoder", "unet", "diffusion_pytorch_model.safetensors")
            shutil.copyfile(self._work / task / "model" / name, partial / task / name)
        shutil.rmtree(self._work / "pack", ignore_errors=True)
        partial.rename(self._work / "pack")

    # ---- running ----

    def _scaled(self, count: int) -> int:
        return max(2, round(count * self._arguments.scale))

    def _script(self, stage: str, script: str, *further) -> None:
        self._run(stage, [sys.executable, HERE / script, self._work / stage, *further])

    def _run(self, stage: str, command: list) -> None:
        begin = time.monotonic()
        with open(self._work / "log" / f"{stage}.log", "a", encoding="utf-8") as log:
            code = subprocess.run([str(part) for part in command], stdout=log, stderr=log, check=False).returncode
        if code != 0:
            raise RuntimeError(f"{stage} ended with {code}, see {log.name}")
        print(f"{stage}: {time.monotonic() - begin:.0f} s", flush=True)

    def _together(self, *lanes) -> None:
        errors = []

        def follow(lane) -> None:
            try:
                for stage in lane:
                    stage()
            except RuntimeError as error:
                errors.append(str(error))

        threads = [threading.Thread(target=follow, args=(lane,)) for lane in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise SystemExit("\n".join(errors))


def install(pack: pathlib.Path, folder: pathlib.Path) -> None:
    """Replaces the models in `folder`; a model card beside them stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in pack.iterdir():
        shutil.rmtree(folder / part.name, ignore_errors=True)
    shutil.copytree(pack, folder, symlinks=True, dirs_exist_ok=True)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"{folder}: {size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--train", type=pathlib.Path, required=True, help="the built kandinsky-train")
    parser.add_argument("--install", type=pathlib.Path, metavar="MODELS_FOLDER")
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    arguments.train = arguments.train.resolve()
    Pack(arguments).make()


if __name__ == "__main__":
    main()
