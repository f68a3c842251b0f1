"""Files of one or many runs: settings, checkpoints, logs, locks, ledgers."""
