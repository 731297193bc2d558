"""What the benchmark scripts share: paired timing, the machine's own limits, tables, result files, baselines."""
