"""Every setting of a run: fields, choices, presets, combinations; and the error that users see."""
