"""Where the values of authority-bearing arguments came from: pure matching of values against what was said and seen."""
