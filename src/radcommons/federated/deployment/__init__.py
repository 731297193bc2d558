"""Federated training between machines: Flower's SuperLink and SuperNodes with TLS, keys, and no other program."""
