"""What `benchmarks/gpu.py` runs, a process each: the tests, sampling, the stages of training, films."""
