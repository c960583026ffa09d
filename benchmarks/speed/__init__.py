"""Images per second: of exports, of other runtimes, of training."""
