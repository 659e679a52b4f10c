"""The GPU prover: CUDA kernels with the functions of `prover` around them, on a device that is handed in."""
