"""Sensors of the provider; each module stands for a service."""
