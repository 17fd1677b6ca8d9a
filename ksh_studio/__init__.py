"""KSH Studio: a folder of drawings becomes a model that draws like them."""

__version__ = "0.1.0"
