"""Checks that only the stage `check` makes."""
