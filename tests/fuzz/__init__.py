"""Anything at any door: an answer that is right, or a sentence that says what is wrong."""
