"""`python -m mekiki COMMAND …`: the same as the console command `mekiki`."""

from mekiki.config.cli import main

if __name__ == "__main__":
    main()
