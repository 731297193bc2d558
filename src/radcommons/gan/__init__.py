"""Training inside the hospital: schedule, losses, steps, checkpoint, one flat loop a job."""
