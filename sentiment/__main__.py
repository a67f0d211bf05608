"""`python -m sentiment`, the same as `sentiment`."""

from sentiment.cli import main

main()
