"""Good files, as small as they can be, which are then mutated. Each function writes into an empty folder."""
