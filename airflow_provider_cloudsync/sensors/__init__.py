"""Sensors of the provider, one module a service."""
