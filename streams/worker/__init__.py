"""One process: start-up checks, the worker, its status for the pages."""
