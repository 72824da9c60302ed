"""One file for each service: a pure request builder and a pure response parser."""
