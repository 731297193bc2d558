"""``python -m radcommons``, the form that torchrun needs."""

from radcommons.cli import main

if __name__ == "__main__":
    main()
