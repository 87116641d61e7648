"""Lift: from moments of an experiment's arms to estimates and decisions."""
