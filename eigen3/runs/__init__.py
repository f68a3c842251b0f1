"""The folder of a run, or of many: who works there."""
