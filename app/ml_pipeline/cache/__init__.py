"""Answers by key. Knows bytes and seconds, and nothing of models."""
