"""What the peers in diffusers share: a network with random weights from its published configuration, the times of both
memory layouts, and the command line. Each prints one JSON object."""

import argparse
import json
import pathlib
import time

import torch

CONFIGS = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/diffusers/full_size_configs"


def random_network(kind, config):
    """The network without the slow default initialization; speed does not depend on the values."""
    with torch.device("meta"):
        network = kind.from_config(json.loads((CONFIGS / config).read_text()))
    network = network.to_empty(device="cpu").eval()
    for parameter in network.parameters():
        parameter.uniform_(-0.02, 0.02)
    return network


def best_seconds(run, repeats):
    """The fastest of `repeats` runs, after one that is not counted. `run` gets their numbers and returns a tensor."""
    seconds = []
    for i in range(repeats + 1):
        start = time.perf_counter()
        output = run(i)
        seconds.append(time.perf_counter() - start)
        if not output.isfinite().all():
            raise SystemExit("the output is not finite")
    return round(min(seconds[1:]), 4)


def main(description, make_network, make_sample, make_run, latent, repeats):
    """Times `make_run(network, sample)` with what the first two make; `make_sample` gets the network and its edge."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latent", type=int, default=latent, help="latent height and width; the picture has 8 times that")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=repeats)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    with torch.inference_mode():
        network = make_network()
        sample = make_sample(network, arguments.latent)
        nchw = best_seconds(make_run(network, sample), arguments.repeats)
        network = network.to(memory_format=torch.channels_last)
        sample = sample.contiguous(memory_format=torch.channels_last)
        channels_last = best_seconds(make_run(network, sample), arguments.repeats)
    print(json.dumps({"nchw_s": nchw, "channels_last_s": channels_last, "repeats": arguments.repeats}))
