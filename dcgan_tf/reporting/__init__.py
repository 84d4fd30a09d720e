"""What a run shows of itself: terminal, tables, plots, GIF, TensorBoard, diagnostics."""
