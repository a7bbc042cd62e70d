"""The report of a backtest: one page, complete in one file, without a network."""
