"""Credentials that are obtained by signing in somewhere and come to an end: one file for each way in."""
