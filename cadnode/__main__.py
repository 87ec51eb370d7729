"""`python -m cadnode`."""

from cadnode.cli.app import main

if __name__ == "__main__":
    main()
