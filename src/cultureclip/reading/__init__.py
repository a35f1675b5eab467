"""Files from outside: text, JSON, CSV and the names of files, each bounded, checked and read by one rule."""
