"""``python -m varkit``, as torchrun starts it."""

from varkit.cli import main

if __name__ == "__main__":
    main()
