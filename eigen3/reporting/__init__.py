"""Every page, picture and table of text, of the numbers of `evaluation`."""
