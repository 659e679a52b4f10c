"""Keys, signatures, typed messages, encrypted key files, and the account contract that the keys open."""
