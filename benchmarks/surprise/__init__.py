"""Intuitive physics by violation of expectation: models of films, floors, scores and their report."""
