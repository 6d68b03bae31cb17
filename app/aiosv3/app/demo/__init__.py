"""The sample job."""
