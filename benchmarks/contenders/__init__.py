"""The contenders: each is measured in a process of its own, and says what it measured as one line of JSON."""
