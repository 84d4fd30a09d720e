"""Starting a run or going on with one, and what is measured when it starts."""
