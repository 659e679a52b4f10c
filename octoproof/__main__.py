"""`python -m octoproof` is `octoproof`."""

from octoproof.cli import main

main()
