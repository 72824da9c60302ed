"""How a network is made smaller, one family a file, each step registered under the name that `parse` reads."""
