"""``python -m retouchd`` is the command."""

from retouchd.cli import main

if __name__ == "__main__":
    main()
