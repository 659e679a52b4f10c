"""A service whose requests both sides sign: the provider's desk, its HTTP door, and the buyer's side of it."""
