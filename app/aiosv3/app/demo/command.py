"""Placeholder until the demo is written."""


def demo() -> None:
    """Run the sample job."""
