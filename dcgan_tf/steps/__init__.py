"""Alternative training steps, the choice between them, and their compilation."""
