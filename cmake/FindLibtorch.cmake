# Finds the libtorch inside the PyPI wheel that scripts/fetch_wheels.py unpacked, without the wheel's own
# TorchConfig.cmake (that one insists on a CUDA toolkit). Defines libtorch::cpu.
#
# LIBTORCH_ROOT: folder that holds torch/ and nvidia/ (default: $KANDINSKY_CACHE/libtorch-2.11.0, and
# ~/.cache/kandinsky-server when KANDINSKY_CACHE is unset).
if(DEFINED ENV{KANDINSKY_CACHE})
  set(_cache "$ENV{KANDINSKY_CACHE}")
else()
  set(_cache "$ENV{HOME}/.cache/kandinsky-server")
endif()
set(LIBTORCH_ROOT "${_cache}/libtorch-2.11.0" CACHE PATH "Folder with the unpacked torch wheel")

find_path(LIBTORCH_INCLUDE_DIR torch/torch.h
  PATHS "${LIBTORCH_ROOT}/torch/include/torch/csrc/api/include" NO_DEFAULT_PATH)
find_library(LIBTORCH_CPU_LIBRARY torch_cpu PATHS "${LIBTORCH_ROOT}/torch/lib" NO_DEFAULT_PATH)
find_library(LIBTORCH_C10_LIBRARY c10 PATHS "${LIBTORCH_ROOT}/torch/lib" NO_DEFAULT_PATH)
# The OpenMP of the wheel: with another one beside it the number of threads would be set in the wrong place.
find_library(LIBTORCH_GOMP_LIBRARY NAMES libgomp.so.1 PATHS "${LIBTORCH_ROOT}/torch/lib" NO_DEFAULT_PATH)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libtorch
  REQUIRED_VARS LIBTORCH_CPU_LIBRARY LIBTORCH_C10_LIBRARY LIBTORCH_GOMP_LIBRARY LIBTORCH_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run scripts/install_dependencies.sh, or set LIBTORCH_ROOT")

if(Libtorch_FOUND AND NOT TARGET libtorch::cpu)
  add_library(libtorch::cpu INTERFACE IMPORTED GLOBAL)
  # SYSTEM keeps the project's -Werror away from torch's headers.
  target_include_directories(libtorch::cpu SYSTEM INTERFACE
    "${LIBTORCH_ROOT}/torch/include" "${LIBTORCH_INCLUDE_DIR}")
  target_link_libraries(libtorch::cpu INTERFACE
    "${LIBTORCH_CPU_LIBRARY}" "${LIBTORCH_C10_LIBRARY}" "${LIBTORCH_GOMP_LIBRARY}")
  # libtorch_cpu.so of the CUDA wheel names the CUDA runtime; it finds it by its own run path.
  target_link_options(libtorch::cpu INTERFACE
    "LINKER:-rpath,${LIBTORCH_ROOT}/torch/lib" "LINKER:--allow-shlib-undefined")
endif()
