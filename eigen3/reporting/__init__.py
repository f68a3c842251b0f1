"""HTML pages, pictures and text tables of results and of data quality."""
