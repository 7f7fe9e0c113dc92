"""A GPU that is not there: CUDA code paths run on a CPU-only torch, without values."""
