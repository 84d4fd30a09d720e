"""What a run shows: terminal, tables, plots, GIF, TensorBoard, diagnostics."""
