"""How the site is served: an event loop talks to clients, threads run Django (docs/decisions/0027).

Requests are read, and answers sent, by the loop alone, with a deadline on every step. A client that is slow, or stops
half way, holds a connection, never a thread.
"""
