"""retouchd: a watch-folder daemon for retouching."""

__version__ = "0.1.0"
