"""How accurate multiplexed models are, against the plain alternatives."""
