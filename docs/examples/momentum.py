"""Follow the takers: where they push hard one way, go with them for a while.

cd docs/examples; replay backtest ../../datasets/eth-stress --strategy momentum:Momentum
"""

from collections import deque


class Momentum:
    instrument = "ETH-USDT-SWAP"

    def __init__(self, size="0.1", window_ms=2_000, push=0.6, hold_ms=5_000):
        self.size, self.push = size, push
        self.window, self.hold = window_ms * 1_000_000, hold_ms * 1_000_000  # ns of data time
        self.trades = deque()

    def on_trade(self, trade, context):
        if trade.instrument != self.instrument or trade.channel != "trades":
            return  # `trades-all` would tell each trade a second time
        self.trades.append((trade.ts_recv, trade.size if trade.side == "buy" else -trade.size))
        while self.trades[0][0] < trade.ts_recv - self.window:
            self.trades.popleft()
        total = sum(abs(size) for _, size in self.trades)
        push = sum(size for _, size in self.trades) / total
        is_flat = not context.position(self.instrument) and not context.open_orders
        if is_flat and len(self.trades) >= 5 and abs(push) >= self.push:
            (context.buy if push > 0 else context.sell)(self.instrument, self.size)
            context.after(self.hold, self.leave)

    def leave(self, context):
        held = context.position(self.instrument)
        if held:
            (context.sell if held > 0 else context.buy)(self.instrument, abs(held))
