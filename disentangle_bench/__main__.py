"""`python -m disentangle_bench` is `disentangle-bench`."""

from disentangle_bench.cli.app import main

if __name__ == "__main__":
    main()
