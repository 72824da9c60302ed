"""The one training engine that every method uses."""
