"""What every command shares: settings as flags, errors in one sentence, signals, atomic files."""
