"""Images per second of exported models and of other runtimes, in one table."""
