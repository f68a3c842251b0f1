"""Pages, pictures and text tables of the results of `evaluation`."""
