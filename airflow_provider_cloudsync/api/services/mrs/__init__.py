"""Calls, polls and verdicts of one service."""
