"""Files of runs, such as settings, checkpoints, logs, locks and ledgers."""
