"""`python -m pappus`: the command line."""

from pappus.cli.main import main

if __name__ == "__main__":
    main()
