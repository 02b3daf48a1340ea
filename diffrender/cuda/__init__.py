"""The CUDA backend: the loops of `diffrender.cpu` for an NVIDIA GPU, compiled by numba-cuda. It runs in Numba's CUDA
simulator too (NUMBA_ENABLE_CUDASIM=1), which is how it is tested without a GPU."""
