#!/usr/bin/env python3
"""Downloads the pinned PyPI wheels that the C++ build needs and unpacks them into the cache folder.

Usage: fetch_wheels.py CACHE_DIR

Each wheel is named with its SHA-256 and checked before it is unpacked; a folder that is complete (its stamp lists the
same hashes) is left alone. Only the standard library and the pip of the machine are used.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

# folder in the cache -> (requirement, wheel file, SHA-256); the platform is x86-64 Linux, CPython 3.11.
BUNDLES = {
    "libtorch-2.11.0": [
        ("torch==2.11.0", "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl",
         "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a"),
        # libtorch_cpu.so of the wheel is linked to these two; no GPU or driver is needed.
        ("nvidia-cuda-runtime==13.0.96",
         "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
         "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"),
        ("nvidia-cuda-cupti==13.0.85", "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
         "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"),
    ],
    "googleapis-1.76.0": [
        ("googleapis-common-protos==1.76.0", "googleapis_common_protos-1.76.0-py3-none-any.whl",
         "59e13344a9f3651aa201a03e2bee815a3bf43a4baf1f9ff8a9b62a840ce25fac"),
    ],
}

# Parts of the wheels that a CPU build never opens.
SKIPPED = ("torch/lib/libtorch_cuda", "torch/lib/libtorch_python", "torch/lib/libtorch_nvshmem", "torch/bin/",
           "torch/_", "torch/testing/", "torch/distributed/", "functorch/", "torchgen/")


def download(requirement: str, name: str, digest: str, folder: pathlib.Path) -> pathlib.Path:
    """Fetches one wheel with pip and checks its hash."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps",
               "--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp", "--abi", "cp311",
               "--abi", "none",
               "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_25_x86_64",
               "--platform", "manylinux_2_17_x86_64", "--platform", "manylinux2014_x86_64", "--platform", "any",
               "--dest", str(folder), requirement]
    subprocess.run(command, check=True)
    wheel = folder / name
    actual = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if actual != digest:
        raise SystemExit(f"{name}: SHA-256 {actual} is not the pinned {digest}")
    return wheel


def unpack(wheel: pathlib.Path, folder: pathlib.Path) -> None:
    """Unpacks what the build needs of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if not member.filename.startswith(SKIPPED):
                archive.extract(member, folder)


def main() -> None:
    cache = pathlib.Path(sys.argv[1])
    for bundle, wheels in BUNDLES.items():
        target = cache / bundle
        stamp = target / "complete"
        expected = "".join(f"{digest}  {name}\n" for _, name, digest in wheels)
        if stamp.is_file() and stamp.read_text() == expected:
            continue
        print(f"fetching {bundle}", flush=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            fresh = pathlib.Path(scratch) / "unpacked"
            fresh.mkdir()
            for requirement, name, digest in wheels:
                wheel = download(requirement, name, digest, pathlib.Path(scratch))
                unpack(wheel, fresh)
                wheel.unlink()
            (fresh / "complete").write_text(expected)
            shutil.rmtree(target, ignore_errors=True)
            fresh.rename(target)


if __name__ == "__main__":
    main()
