"""Draws the pictures of the notebook and the README that are not plots of results."""
