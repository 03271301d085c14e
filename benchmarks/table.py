"""Runs the benchmarks and their peers in turn and prints one table.

Usage: table.py --build BUILD_DIR --python PYTHON [--rounds 2]

Ours and the peer alternate within every round, so that a machine whose speed drifts slows both; the table quotes the
best time of each over all rounds and their ratio (peer / ours, above 1 is faster than the peer).
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run_json(command):
    """Runs a program that prints one JSON object on its last line."""
    environment = dict(os.environ, OMP_NUM_THREADS="2")
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment, text=True).stdout
    return json.loads(output.strip().splitlines()[-1])


def network_rows(name, ours_command, peer_command, rounds):
    """A full-size network with random weights against diffusers eager, seconds."""
    ours, nchw, channels_last = [], [], []
    for _ in range(rounds):
        ours.append(run_json(ours_command)["best_s"])
        peer = run_json(peer_command)
        nchw.append(peer["nchw_s"])
        channels_last.append(peer["channels_last_s"])
    return [
        (name, "diffusers eager (default layout)", f"{min(ours):.2f} s", f"{min(nchw):.2f} s", min(nchw) / min(ours)),
        (name, "diffusers eager, channels_last", f"{min(ours):.2f} s", f"{min(channels_last):.2f} s",
         min(channels_last) / min(ours)),
    ]


def unet_rows(build, python, rounds):
    return network_rows("U-Net 2.2 guided step, 256x256, fp32, 2 threads",
                        [f"{build}/benchmarks/unet_step", "--latent", "32", "--threads", "2"],
                        [python, str(ROOT / "benchmarks/unet_step_diffusers.py")], rounds)


def movq_rows(build, python, rounds):
    return network_rows("MOVQ decode, 512x512, fp32, 2 threads",
                        [f"{build}/benchmarks/movq_decode", "--latent", "64", "--threads", "2"],
                        [python, str(ROOT / "benchmarks/movq_decode_diffusers.py")], rounds)


def group_norm_rows(build):
    """Group norm with SiLU, channels_last: the sum over the shapes of all models, and the shape that gains least."""
    result = run_json([f"{build}/benchmarks/group_norm", "--picture", "512", "--threads", "2"])
    name, peer = "Group norm and SiLU, channels_last, all shapes at 512x512", "PyTorch, channels_last"
    return [
        (name + ", sum", peer, f"{result['ours_ms']:.0f} ms", f"{result['peer_ms']:.0f} ms",
         result["peer_ms"] / result["ours_ms"]),
        (name + ", sum, in the memory of the input", peer + ", which cannot", f"{result['in_place_ms']:.0f} ms",
         f"{result['peer_ms']:.0f} ms", result["peer_ms"] / result["in_place_ms"]),
        (name + ", the shape that gains least", peer, "", "", result["worst_speed_ratio"]),
        (name + ", largest error", "PyTorch, default layout", f"{result['worst_error_ratio']:.2f}", "1",
         1 / result["worst_error_ratio"]),
    ]


def front_end_rows(build, rounds):
    """Requests per second of the whole front end with a null pipeline against a bare gRPC callback echo."""
    results = [run_json([f"{build}/benchmarks/front_end"]) for _ in range(rounds)]
    ours = max(result["server_rps"] for result in results)
    echo = max(result["echo_rps"] for result in results)
    p50 = min(result["server_p50_us"] for result in results)
    echo_p50 = min(result["echo_p50_us"] for result in results)
    name = "Front end, null pipeline, metadata-only reply"
    return [
        (name + ", requests/s", "bare gRPC callback echo", f"{ours:.0f}", f"{echo:.0f}", ours / echo),
        (name + ", p50 latency", "bare gRPC callback echo", f"{p50:.0f} us", f"{echo_p50:.0f} us", echo_p50 / p50),
    ]


def load_rows(build, python, rounds):
    """Loading the full-size pair in half precision against cat of the same files, and its peak against what stays resident."""
    result = run_json([python, str(ROOT / "benchmarks/load_model.py"), "--build", build, "--rounds", str(rounds)])
    name = f"Load of the 2.2 pair, {result['files_gb']:.1f} GB, {'cold' if result['cold'] else 'warm'} page cache"
    return [
        (name, "cat of the same files", f"{result['load_s']:.1f} s", f"{result['cat_s']:.1f} s", 1 / result["load_per_cat"]),
        (name + ", peak memory", "resident afterwards", f"{result['peak_gb']:.1f} GB", f"{result['resident_gb']:.1f} GB",
         1 / result["peak_per_resident"]),
    ]


def product_rows(build):
    """Matrix products whose rows do not depend on each other against the library's, whose rows do."""
    result = run_json([f"{build}/benchmarks/matrix_products", "--threads", "2"])
    return [(f"Matrix products of a guided step, {name}", "MKL", f"{times['ours_s']:.3f} s", f"{times['library_s']:.3f} s",
             times["library_s"] / times["ours_s"]) for name, times in result.items()]


def convolution_rows(build):
    """3x3 convolutions, processor time of one thread: Winograd's way, which all layers but the narrowest go, against our direct one and oneDNN's."""
    result = run_json([f"{build}/benchmarks/convolutions"])
    return [(f"3x3 convolutions, {name}, processor time", peer, f"{times['winograd_s']:.2f} s", f"{times[key]:.2f} s",
             times[key] / times["winograd_s"])
            for name, times in result.items()
            for peer, key in (("our direct convolution", "direct_s"), ("oneDNN, channels_last", "onednn_s"))]


def sampler_rows(build):
    """The samplers' step of eight images, computed together and one by one."""
    result = run_json([f"{build}/benchmarks/sampler_step", "--threads", "2"])
    return [(f"Sampler step of 8 images of 768x768, {name}", "the same, image by image", f"{times['together_us']:.0f} us",
             f"{times['one_by_one_us']:.0f} us", times["one_by_one_us"] / times["together_us"])
            for name, times in result.items()]


def instructions(program, *options):
    """Instructions of a program, or of what --toggle-collect names in it, counted by callgrind."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", *options, *program]
        result = subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return int(re.search(r"Collected : (\d+)", result.stderr)[1])


def scheduler_rows(build):
    """The scheduler's own cost. There is no peer: the bound takes its place."""

    def steps(count):
        return instructions([f"{build}/benchmarks/scheduler_step", "--steps", str(count)])
    step = (steps(3000) - steps(1000)) / 2000
    return [("Scheduler, step of 8 images", "bound of 50,000 instructions", f"{step:.0f} instructions", "50000",
             50000 / step)]


def progress_rows(build):
    """Processor time of a progress message: on the worker's thread, and in the server's process against a bare stream."""
    rows = []
    for streams in (1, 8):
        result = run_json([f"{build}/benchmarks/progress_stream", "--streams", str(streams)])
        ours, bare, worker = (result[f"{part}_us_per_message"] for part in ("server", "bare", "worker"))
        name = f"Progress message, {streams} stream{'s'[:streams - 1]}, processor time of the "
        rows += [
            (name + "worker's thread", "bound of 30 us", f"{worker:.1f} us", "30 us", 30 / worker),
            (name + "server's process", "bare gRPC callback stream", f"{ours:.0f} us", f"{bare:.0f} us", bare / ours),
        ]
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--python", required=True)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    rows = front_end_rows(arguments.build, arguments.rounds)
    rows += scheduler_rows(arguments.build)
    rows += progress_rows(arguments.build)
    rows += sampler_rows(arguments.build)
    rows += group_norm_rows(arguments.build)
    rows += movq_rows(arguments.build, arguments.python, arguments.rounds)
    rows += load_rows(arguments.build, arguments.python, arguments.rounds)
    rows += product_rows(arguments.build)
    rows += convolution_rows(arguments.build)
    rows += unet_rows(arguments.build, arguments.python, arguments.rounds)
    print("| benchmark | peer | ours | peer's | ratio (above 1: ours is better) |")
    print("|---|---|---|---|---|")
    for name, peer, ours, theirs, ratio in rows:
        print(f"| {name} | {peer} | {ours} | {theirs} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
