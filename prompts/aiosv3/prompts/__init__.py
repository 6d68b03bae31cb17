"""What needs a prompt's text, computed by its sender: token estimate and complexity."""

from aiosv3.prompts.estimate import estimate_complexity, estimate_tokens

__all__ = ["estimate_complexity", "estimate_tokens"]
