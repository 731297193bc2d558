"""What every training run keeps on disk: its folder, log and checkpoints; and its processes."""
