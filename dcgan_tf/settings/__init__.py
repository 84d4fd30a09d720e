"""Every setting of a run: fields, choices, presets, rules; and the error that users see."""
