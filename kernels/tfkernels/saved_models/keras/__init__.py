"""Keras's files and configurations, of all versions since 2.0. Imported by the readers of ``saved_models``."""
