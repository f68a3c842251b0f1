"""Training: rollouts, the single-agent loop, checkpoints and logs."""
