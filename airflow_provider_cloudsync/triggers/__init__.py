"""Triggers: one for all waits of tasks, and event triggers for assets."""
