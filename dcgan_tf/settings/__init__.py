"""The settings of a run: fields, choices, presets, combinations; and errors that users see."""
