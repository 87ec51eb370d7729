"""`python -m cadnode`."""

from cadnode.cli import main

if __name__ == "__main__":
    main()
