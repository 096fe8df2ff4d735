"""Rules: pure, synchronous, deterministic functions; clock and chance are passed in."""
