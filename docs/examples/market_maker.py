r"""Quote both sides of one book, leaning against what is held.

cd docs/examples; replay backtest ../../datasets/btc-calm --strategy market_maker:MarketMaker \
    --cash BTC=1 --cash USDT=100000
"""


class MarketMaker:
    instrument = "BTC-USDT"

    def __init__(self, size="0.01", width_bps=0.3, lean_bps=20.0, every_ms=500):
        self.size = size
        self.width, self.lean = width_bps / 10_000, lean_bps / 10_000
        self.every = every_ms * 1_000_000  # ns of data time
        self.target = None

    def on_start(self, context):
        context.every(self.every)

    def on_timer(self, timer, context):
        context.cancel()
        book = context.books.get(self.instrument)
        if not book or not book.is_whole:
            return
        held = float(context.balance(self.instrument.split("-")[0]))
        if self.target is None:
            self.target = held  # what it begins with is what it returns to
        middle = float(book.mid()) * (1 - self.lean * (held - self.target))
        bid = min(middle * (1 - self.width), float(book.best_bid().price))
        ask = max(middle * (1 + self.width), float(book.best_ask().price))
        for order, price, side in ((context.buy, bid, "down"), (context.sell, ask, "up")):
            at = context.to_tick(self.instrument, price, side)
            order(self.instrument, self.size, at, kind="post_only")
        context.record("held", held - self.target)
