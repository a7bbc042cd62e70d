"""A seeded market: what a venue's matching engine would say, as exact wire payloads.

Responsible for prices, order books, trades and the pushes made of them, as a pure function of a
seed and of the data time it is given. Refuses to know connections, clocks or files: the
simulator (`replay.simulation.simulator`) wraps sessions around it.

Everything is integer arithmetic over `Random.getrandbits`, in ticks, lots and nanoseconds, so
the same seed gives the same bytes on every machine and Python version.
"""
