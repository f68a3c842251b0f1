"""Files of a run or of many: settings, checkpoints, logs, locks, ledgers."""
