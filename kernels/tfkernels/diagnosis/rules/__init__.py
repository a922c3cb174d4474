"""The catalogue of differences: one module a family of rules. ``catalogue`` has them in the order they are asked."""
