"""Hooks of the provider, one module a service; `cloudsync` is their base."""
