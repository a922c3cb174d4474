"""The world of conda: channels, prefixes, activation, and what a user has of it. No conda is needed."""
