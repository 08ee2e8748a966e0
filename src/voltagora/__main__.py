"""`python -m voltagora` is the command `voltagora`."""

from voltagora.cli.main import main

if __name__ == "__main__":
    main()
