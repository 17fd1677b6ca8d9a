"""The base models and captioners: their registry, how they are loaded, and the device that they run on."""
