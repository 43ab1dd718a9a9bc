"""One file a model; `base.py` is the contract, `networks.py` holds the architectures that models share."""
