"""Where images come from: a table of named datasets; files of arrays, folders, TFRecords."""
