"""Tests of each action by its main."""
