"""tinyalex: AlexNet from scratch in NumPy and CuPy."""

__version__ = "0.2.0"
