"""The web server: an event loop talks to clients, threads run Django (docs/decisions/0027).

Only the event loop reads requests and sends responses, and each step has a deadline. A client that is slow or
stops halfway holds a connection, but never a thread.
"""
