"""``python -m forgetwell``: the command line, where scripts are not on the path."""

from forgetwell.cli import main

if __name__ == "__main__":
    main()
