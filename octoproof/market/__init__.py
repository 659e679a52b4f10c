"""The market's rules as data and pure functions: service levels, refunds, slashing, disputes, private routing."""
