"""Trains the shipped networks: data, recipes, training, export, model card."""
