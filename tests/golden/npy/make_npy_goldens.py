#!/usr/bin/env python3
"""Writes arrays as numpy.save does, in the types and orders that people have, and what NumPy makes of each as float32.

Usage: make_npy_goldens.py OUTPUT_DIR, with NumPy 2.4.6. Repeatable. For X.npy, X.expected has the values as float32
in C order, without a header.
"""

import pathlib
import sys

import numpy as np


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    random = np.random.default_rng(7)
    latents = random.standard_normal((4, 2, 3))
    # Half precision in whole: normal, subnormal, largest, zeros of both signs and infinity.
    halves = np.array([0.1, -1.5, 6e-8, -6.1e-5, 65504, 0.0, -0.0, np.inf], dtype="<f2")
    doubles = np.array([0.1, -1e-50, 1e38, 16777217, 1e-45, -0.0], dtype="<f8")
    arrays = {"halves": halves, "doubles": doubles}
    for order in "CF":
        for dtype in ("<f2", "<f4", "<f8", ">f2", ">f4", ">f8"):
            name = f"latents_{'little' if dtype[0] == '<' else 'big'}_{dtype[1:]}_{order.lower()}"
            arrays[name] = np.asarray(latents, dtype=dtype, order=order)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
        (folder / f"{name}.expected").write_bytes(np.ascontiguousarray(array, dtype="<f4").tobytes())


if __name__ == "__main__":
    main()
