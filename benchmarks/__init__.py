"""Measurements, side by side in one run, as ratios; never run by the tests for their time."""
