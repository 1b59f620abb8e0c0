"""Intake: a delivery becomes events of runs."""
