r"""Sell a swap that is dear against its spot, buy the spot, and wait until they meet.

cd docs/examples; replay sweep ../../datasets/eth-stress --strategy basis:Basis \
    --param entry_bps=5:9:1
"""


class Basis:
    spot, swap = "ETH-USDT", "ETH-USDT-SWAP"

    def __init__(self, contracts="1", entry_bps=5.0, exit_bps=1.0):
        self.contracts, self.entry, self.exit = contracts, entry_bps, exit_bps

    def on_book(self, update, context):
        books = [context.books.get(name) for name in (self.spot, self.swap)]
        if not all(book and book.is_whole for book in books) or context.open_orders:
            return  # one leg at a time is a bet, not a basis: wait until both books are whole
        spot, swap = books
        held = context.position(self.swap)
        dear = (swap.best_bid().price / spot.best_ask().price - 1) * 10_000  # what selling it gets
        cheap = (swap.best_ask().price / spot.best_bid().price - 1) * 10_000  # what it costs back
        if not held and dear >= self.entry:
            context.sell(self.swap, self.contracts)
            context.buy(self.spot, self.coins(context))
            context.record("entry_bps", dear)
        elif held and cheap <= self.exit:
            context.buy(self.swap, -held)
            context.sell(self.spot, context.to_lot(self.spot, context.balance("ETH")))
            context.record("exit_bps", cheap)

    def coins(self, context):
        value = context.instruments[self.swap].contract_value  # of one contract, in coins
        return context.to_lot(self.spot, float(self.contracts) * value)
