#!/usr/bin/env python3
"""Lets `import torch` succeed without the CUDA libraries (2 GB) that a machine without a GPU never calls.

Usage: make_cuda_stubs.py SITE_PACKAGES

The torch wheel of PyPI is linked to cuBLAS, cuDNN, NCCL and others, and Python loads it with all symbols bound at
once. For every such library that is not installed, this writes a stand-in with the same name, symbol versions and
functions; each of the functions says which one was called and aborts. Needs cc and nm.
"""

import collections
import pathlib
import re
import subprocess
import sys
import tempfile

# Unversioned symbols carry no library name; their prefix tells it.
PREFIXES = {
    "cublasLt": "libcublasLt.so.13",
    "cublas": "libcublas.so.13",
    "cudnn": "libcudnn.so.9",
    "cufft": "libcufft.so.12",
    "cuFile": "libcufile.so.0",
    "curand": "libcurand.so.10",
    "cusparseLt": "libcusparseLt.so.0",
    "cusparse": "libcusparse.so.12",
    "cusolver": "libcusolver.so.12",
    "nccl": "libnccl.so.2",
    "nvshmem": "libnvshmem_host.so.3",
}
# The libraries that are loaded by `import torch`.
LOADED = ("libtorch_python.so", "libtorch_cuda.so", "libtorch_nvshmem.so", "libc10_cuda.so")
# Symbol versions that are not a file name.
VERSION_FILES = {"NVSHMEM": "libnvshmem_host.so.3"}


def undefined_symbols(library: pathlib.Path) -> list[tuple[str, str]]:
    """The (name, version) pairs that `library` wants from others; the version may be empty."""
    text = subprocess.run(["nm", "-D", "--undefined-only", str(library)], check=True, capture_output=True,
                          text=True).stdout
    symbols = [line.split()[-1] for line in text.splitlines()]
    return [tuple(symbol.split("@", 1)) if "@" in symbol else (symbol, "") for symbol in symbols]


def needed_libraries(library: pathlib.Path) -> list[str]:
    text = subprocess.run(["readelf", "-d", str(library)], check=True, capture_output=True, text=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", text)


def owner(name: str, version: str) -> str | None:
    """The file name of the CUDA library that defines the symbol; None for anything else."""
    if version:
        file = VERSION_FILES.get(version, version)
        return file if file in PREFIXES.values() else None
    matches = [prefix for prefix in PREFIXES if re.match(rf"(p?){prefix}[A-Z_]", name)]
    return PREFIXES[max(matches, key=len)] if matches else None


def write_stub(target: pathlib.Path, symbols: set[tuple[str, str]]) -> None:
    """Compiles one stand-in library."""
    source = ["#include <stdio.h>", "#include <stdlib.h>",
              "static void die(const char* name) {",
              f'  fprintf(stderr, "%s of {target.name} was called, but this environment has no CUDA\\n", name);',
              "  abort();", "}"]
    versions = collections.defaultdict(list)
    for name, version in sorted(symbols):
        source.append(f'void {name}(void) {{ die("{name}"); }}')
        if version:
            versions[version].append(name)
    script = "".join(f"{version} {{ global: {'; '.join(names)}; }};\n" for version, names in versions.items())
    with tempfile.TemporaryDirectory() as folder:
        c_file = pathlib.Path(folder) / "stub.c"
        c_file.write_text("\n".join(source) + "\n")
        command = ["cc", "-O1", "-shared", "-fPIC", "-fno-builtin", "-w", f"-Wl,-soname,{target.name}",
                   "-o", str(target), str(c_file)]
        if script:
            map_file = pathlib.Path(folder) / "stub.map"
            map_file.write_text(script)
            command.insert(1, f"-Wl,--version-script={map_file}")
        subprocess.run(command, check=True)


def main() -> None:
    site = pathlib.Path(sys.argv[1])
    lib = site / "torch" / "lib"
    target = site / "nvidia" / "cu13" / "lib"  # on the run path of torch's libraries
    stubs: dict[str, set[tuple[str, str]]] = {}
    for name in LOADED:
        for needed in needed_libraries(lib / name):
            if needed in PREFIXES.values():
                stubs.setdefault(needed, set())
    for name in LOADED:
        for symbol in undefined_symbols(lib / name):
            file = owner(*symbol)
            if file in stubs:
                stubs[file].add(symbol)
    for file, symbols in stubs.items():
        if not (target / file).exists():
            write_stub(target / file, symbols)


if __name__ == "__main__":
    main()
