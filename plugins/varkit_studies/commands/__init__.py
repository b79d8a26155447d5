"""The verbs ``study`` and ``compare``."""
