"""Runs: create, train, measure, open and report a run folder."""
