"""Input and output: HTTP, shared results, rate limits, timeouts."""
