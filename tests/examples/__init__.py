"""The programs that people copy, run as they would run them."""
